/** What the documents show is run: the first example of each README from the sources, and every command line by the parser. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkArguments } from 'timberline'
import { testProgram } from '../tools/test-programs.ts'
import { commandLines, firstExample, packageNames, root, textFiles } from './repository.ts'

const run = promisify(execFile)
/** Inside the repository, so that the example's imports are found as a user's would be. */
const examples = join(root, 'test', `.examples-${String(process.pid)}`)
let scratch = ''

beforeAll(async () => {
  await mkdir(examples)
  scratch = await mkdtemp(join(tmpdir(), 'timberline-readme-'))
})

afterAll(async () => {
  await rm(examples, { recursive: true, force: true })
  await rm(scratch, { recursive: true, force: true })
})

describe('the first example runs', () => {
  test.each(['.', ...packageNames().map((name) => `packages/${name}`)])('%s/README.md', async (folder) => {
    const example = firstExample(await readFile(join(root, folder, 'README.md'), 'utf8'))
    if (example === undefined) throw new Error(`${folder}/README.md has no example`)
    const path = join(examples, `${folder.replaceAll(/\W/g, '-')}.ts`)
    await writeFile(path, example)
    const cwd = await mkdtemp(join(scratch, 'cwd-'))
    const { stderr } = await run(process.execPath, [testProgram(path)], { cwd, timeout: 60_000 })
    expect(stderr).toBe('')
  })
})

describe('command lines are understood', () => {
  const lines = textFiles('.', '.md').flatMap(({ path, text }) =>
    commandLines(text).map((line) => ({ path, line })),
  )

  test('there are some', () => {
    expect(lines.length).toBeGreaterThan(5)
  })

  test.each(lines)('$path: $line', ({ line }) => {
    expect(checkArguments(words(line).slice(1))).toBeUndefined()
  })
})

function words(line: string): readonly string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  )
}
