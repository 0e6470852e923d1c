/**
 * What a user gets: each package is packed, installed alone into an empty project, and runs the first example of its README with
 * plain `node`, so that `exports`, `files` and `dependencies` of the published form are proven, not those of the workspace.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { firstExample, packageManifest, packageNames, root } from '../repository.ts'

const run = promisify(execFile)
const pnpm = (args: readonly string[], cwd = root): Promise<{ stdout: string }> =>
  run('npx', ['-y', 'pnpm@10', ...args], { cwd, maxBuffer: 1 << 24 })

let scratch = ''
/** Package name → path of its tarball. */
const tarballs = new Map<string, string>()

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'timberline-packed-'))
  await pnpm(['build'])
  for (const folder of packageNames()) {
    const target = join(scratch, 'tarballs', folder)
    await mkdir(target, { recursive: true })
    await pnpm(['pack', '--pack-destination', target], join(root, 'packages', folder))
    const [name] = await readdir(target)
    if (name === undefined) throw new Error(`${folder} was not packed`)
    tarballs.set(packageManifest(folder).name, join(target, name))
  }
})

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true })
})

describe.each(packageNames())('%s, installed alone', (folder) => {
  const { name } = packageManifest(folder)
  const project = (): string => join(scratch, 'projects', folder)

  beforeAll(async () => {
    await mkdir(project(), { recursive: true })
    const others = [...tarballs].filter(([other]) => other !== name)
    const manifest = {
      private: true,
      type: 'module',
      dependencies: { [name]: `file:${tarballs.get(name) ?? ''}` },
      overrides: Object.fromEntries(others.map(([other, path]) => [other, `file:${path}`])),
    }
    await writeFile(join(project(), 'package.json'), JSON.stringify(manifest))
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'], {
      cwd: project(),
    })
  })

  test('runs the example of its README', async () => {
    const example = firstExample(await readFile(join(root, 'packages', folder, 'README.md'), 'utf8'))
    if (example === undefined) throw new Error('no example')
    await writeFile(join(project(), 'example.mjs'), example)
    const { stderr } = await run(process.execPath, ['example.mjs'], { cwd: project(), timeout: 120_000 })
    expect(stderr).toBe('')
  })

  test('carries declarations, licence terms and a README, and no tests', async () => {
    const installed = join(project(), 'node_modules', ...name.split('/'))
    const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
      license: string
      exports: Record<string, { types: string; default: string }>
    }
    expect(manifest.license).toBe('Apache-2.0')
    for (const { types, default: code } of Object.values(manifest.exports)) {
      expect(existsSync(join(installed, types)), types).toBe(true)
      expect(existsSync(join(installed, code)), code).toBe(true)
    }
    expect(existsSync(join(installed, 'README.md'))).toBe(true)
    expect(existsSync(join(installed, 'test'))).toBe(false)
  })

  test('brings only the packages below it', async () => {
    const scope = join(project(), 'node_modules/@timberline')
    const present = existsSync(scope) ? await readdir(scope) : []
    const declared = Object.keys(packageManifest(folder).dependencies ?? {}).filter((other) =>
      other.startsWith('@timberline/'),
    )
    const expected = [...new Set([...declared, ...(name.startsWith('@timberline/') ? [name] : [])])]
    expect(present.map((other) => `@timberline/${other}`).sort()).toEqual(expected.sort())
  })
})

test('the command runs by its name', async () => {
  const { stdout } = await run(join(scratch, 'projects/cli/node_modules/.bin/timberline'), ['--version'])
  expect(stdout.trim()).toMatch(/^\d+\.\d+\.\d+/)
})
