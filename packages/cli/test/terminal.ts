/** Command lines in this process and in one of their own, with all that they print. */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { testProgram } from '../../../tools/test-programs.ts'
import { runCommandLine } from '../src/run.ts'

export interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command line in this process. */
export async function timberline(words: readonly string[], input = ''): Promise<Result> {
  let out = ''
  let err = ''
  const code = await runCommandLine(words, {
    stdin: (async function* () {
      yield Buffer.from(input)
    })(),
    stdout: {
      write: async (text) => {
        out += text
      },
    },
    stderr: {
      write: (text) => {
        err += text
      },
    },
    signal: new AbortController().signal,
  })
  return { code, out, err }
}

/** Runs one that must succeed, with `--json`, and resolves with its document. */
export async function outcome(words: readonly string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await timberline([...words, '--json'])
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${String(code)}: ${err}`)
  return JSON.parse(out) as Record<string, unknown>
}

/** The command as one file of JavaScript. */
export function commandProgram(): string {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const worker = fileURLToPath(new URL('../src/spool/push-worker.ts', import.meta.url))
  return testProgram(main, worker)
}

/** Begins one in a process of its own. */
export function begin(words: readonly string[]): ChildProcess & { readonly ended: Promise<Result> } {
  const child = spawn(process.execPath, [commandProgram(), ...words], { stdio: 'pipe' })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const ended = new Promise<Result>((resolve) => {
    child.on('close', (code, signal) => resolve({ code: code ?? (signal === null ? -1 : -2), out, err }))
  })
  return Object.assign(child, { ended })
}
