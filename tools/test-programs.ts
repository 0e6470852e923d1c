/*
 * The programs that tests begin as processes of their own, bundled once in a run. A program that TypeScript's loader reads from its
 * sources takes a second of processor time before its first line, and a run begins well over a hundred; as one file of JavaScript
 * it takes a tenth. The bundle is made of the same sources by the same compiler (tsx is esbuild), anew in each run.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import type { TestProject } from 'vitest/node'

const ROOT = resolve(import.meta.dirname, '..')
/** Names the folder of the run to its workers. */
const FOLDER = 'TIMBERLINE_TEST_PROGRAMS'
/** Libraries that stay outside: one is native, one is large and loaded by few. The root has both at the packages' versions. */
const OUTSIDE = ['classic-level', '@aws-sdk/client-s3']
/** What a bundled CommonJS library calls to get at Node's own modules. */
const REQUIRE =
  "import{createRequire as requireOf}from'node:module';const require=requireOf(import.meta.url);"

const ESBUILD = createRequire(import.meta.url).resolve('esbuild/bin/esbuild')
/** It takes a third of a second. */
const PATIENCE_MS = 60_000

let folder: string | undefined

/** Before the first worker begins, which inherits the variable. */
export function setup(project: TestProject): void {
  // The first of several projects makes it for all.
  if (process.env[FOLDER] !== undefined) return
  const made = readableFolder(join(tmpdir(), 'timberline-programs-'))
  folder = made
  process.env[FOLDER] = made
  // Sources may have changed.
  project.onTestsRerun(() => {
    for (const name of readdirSync(made)) rmSync(join(made, name), { recursive: true })
  })
}

/** After the last worker has ended. */
export function teardown(): void {
  if (folder === undefined) return
  delete process.env[FOLDER]
  rmSync(folder, { recursive: true, force: true })
}

/**
 * The file of JavaScript to begin instead of a program in TypeScript; `NODE_OPTIONS=--enable-source-maps` shows its sources in stacks.
 * It lies as deep in a tree of its own as the program lies in the repository.
 *
 * @param program - path of the program
 * @param beside - further programs, which it begins itself as files beside its own
 */
export function testProgram(program: string, ...beside: readonly string[]): string {
  const run = process.env[FOLDER]
  if (run === undefined) throw new Error('tools/test-programs.ts is no globalSetup of this project')
  const path = relative(ROOT, program)
  const place = join(run, path.replaceAll(sep, '-'))
  if (!existsSync(place)) {
    // Another worker may be making it, too: the first whole one is taken.
    const own = readableFolder(join(run, 'new-'))
    bundle(own, [program, ...beside])
    try {
      renameSync(own, place)
    } catch (error) {
      if (!existsSync(place)) throw error
      rmSync(own, { recursive: true })
    }
  }
  return join(realpathSync(place), path.replace(/\.ts$/, '.mjs'))
}

/** Servers begin programs as users of their own. */
function readableFolder(prefix: string): string {
  const made = mkdtempSync(prefix)
  chmodSync(made, 0o755)
  return made
}

/**
 * By esbuild's command, not by its call in this process: that one blocks the thread until another one has spoken to the compiler, for
 * ever if that fails, and no time limit of a test can end it.
 */
function bundle(into: string, programs: readonly string[]): void {
  const home = dirname(relative(ROOT, programs[0] ?? ''))
  const options = [
    ...programs.map((path) => `${join(home, basename(path, '.ts'))}=${path}`),
    `--outdir=${into}`,
    '--out-extension:.js=.mjs',
    '--bundle',
    '--platform=node',
    '--format=esm',
    `--target=node${process.versions.node}`,
    ...OUTSIDE.map((name) => `--external:${name}`),
    `--banner:js=${REQUIRE}`,
    '--sourcemap=linked',
    '--sources-content=false',
    '--log-level=warning',
  ]
  execFileSync(ESBUILD, options, {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  })
  symlinkSync(join(ROOT, 'node_modules'), join(into, 'node_modules'))
  // The command reads its version there, as beside `src/`.
  symlinkSync(join(ROOT, 'packages/cli/package.json'), join(into, home, '../package.json'))
}
