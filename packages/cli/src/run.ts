import { asTimberlineError } from './errors.ts'
import type { Command, Surroundings } from './command.ts'
import { exitCodeOf } from './exit-code.ts'
import { describeFailure, failureDocument } from './failure.ts'
import { parseCommandLine, type Request } from './parser.ts'
import { type Progress, progressBar, progressLines } from './progress.ts'
import { jsonText } from './readable.ts'
import { version } from './version.ts'

/** The process around the command, replaceable in tests. */
export interface Stage {
  readonly stdin: AsyncIterable<Buffer>
  readonly stdout: { write(text: string): Promise<void> }
  readonly stderr: { write(text: string): void; readonly terminal?: NodeJS.WriteStream | undefined }
  readonly signal: AbortSignal
  /** Lowers the priority of the process, for good; absent where it is shared with others. */
  readonly lowerPriority?: () => void
}

/**
 * Runs one command line, without the program's name, and resolves with the exit code. Never rejects: whatever goes wrong is
 * printed with its code and the next step.
 */
export async function runCommandLine(words: readonly string[], stage: Stage): Promise<number> {
  // Known before parsing, so that a usage error too is a JSON document for who asked for one.
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words
  const json = own.includes('--json')
  const debug = own.some((word) => word === '--debug' || /^-[a-zA-Z]*g$/.test(word))
  try {
    const request = parseCommandLine(words, version)
    if (request.type === 'print') {
      await stage.stdout.write(request.text)
      return 0
    }
    return await perform(request, stage)
  } catch (thrown) {
    const error = asTimberlineError(thrown, stage.signal)
    if (json) await stage.stdout.write(`${jsonText(failureDocument(error), 2)}\n`)
    stage.stderr.write(`${describeFailure(error, debug).join('\n')}\n`)
    return exitCodeOf(error)
  }
}

/** Tells what is wrong with a command line, without running anything; `undefined` when nothing is. */
export function checkArguments(words: readonly string[]): string | undefined {
  try {
    parseCommandLine(words, version)
    return undefined
  } catch (error) {
    return asTimberlineError(error).message
  }
}

async function perform({ row, args }: Request & { type: 'run' }, stage: Stage): Promise<number> {
  // Before the command begins work on other threads: those that it starts have its priority.
  if (row.yieldsProcessor?.(args) === true) stage.lowerPriority?.()
  const command: Command = await row.load()
  const surroundings = surround(stage, {
    json: args.flag('json'),
    verbose: args.flag('verbose'),
    feedback: args.flag('feedback'),
  })
  const { document, lines = [], exitCode = 0 } = await command(args, surroundings)
  if (args.flag('json')) {
    if (document !== undefined) await stage.stdout.write(`${jsonText(document, 2)}\n`)
  } else if (lines.length > 0) {
    await stage.stdout.write(`${lines.join('\n')}\n`)
  }
  return exitCode
}

interface Manner {
  readonly json: boolean
  readonly verbose: boolean
  readonly feedback: boolean
}

function surround(stage: Stage, { json, verbose, feedback }: Manner): Surroundings {
  const print = (line: string): void => stage.stderr.write(`${line}\n`)
  const { terminal } = stage.stderr
  return {
    json,
    signal: stage.signal,
    input: stage.stdin,
    write: (text) => stage.stdout.write(text),
    tell: (line) => {
      if (verbose) print(line)
    },
    warn: (line) => print(`timberline: ${line}`),
    progress: (title, unit): Progress =>
      // A bar would be torn by the lines that -v prints between.
      terminal !== undefined && !verbose
        ? progressBar(title, unit, terminal)
        : progressLines(title, unit, { print, ...(feedback ? { everyMs: 500 } : {}) }),
  }
}
