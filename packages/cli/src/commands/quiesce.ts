import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  controlCall,
  type PauseInfo,
  type PauseReport,
  quiesceHome,
  type Quiesced,
  readHomeIdentity,
} from '@timberline/engine'
import type { Arguments } from '../arguments.ts'
import type { Command, Outcome, Surroundings } from '../command.ts'
import { cliError } from '../errors.ts'
import { formatInstant } from '../instant.ts'
import { formatMs } from '../quantity.ts'

/** A checkpoint that is under way is waited for. */
const replyTimeoutMs = 600_000

/** `timberline quiesce` */
export const quiesceCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  await readHomeIdentity(home)
  const maxMs = maxMsOf(args)
  if (args.operands.length > 0) {
    surroundings.signal.throwIfAborted()
    return runQuiesced(await quiesceHome(home, maxMs), args.operands, surroundings)
  }
  const info = (await controlCall(
    home,
    { type: 'quiesce', ...maxMs },
    { timeoutMs: replyTimeoutMs },
  )) as PauseInfo
  return { document: { home, ...info }, lines: [quiescedLine(info), `resume with --id ${info.id}`] }
}

/** `timberline resume` */
export const resumeCommand: Command = async (args) => {
  const home = args.required('home')
  await readHomeIdentity(home)
  const id = args.text('id')
  const report = (await controlCall(home, {
    type: 'resume',
    ...(id === undefined ? {} : { id }),
  })) as PauseReport
  return { document: { home, ...report }, lines: [resumedLine(report)] }
}

function maxMsOf(args: Arguments): { maxMs?: number } {
  const seconds = args.number('max-seconds')
  return seconds === undefined ? {} : { maxMs: Math.max(1, Math.round(seconds * 1000)) }
}

/** Commits go on whatever becomes of the command; what it says is told only when it was quiet all the while. */
async function runQuiesced(
  quiet: Quiesced,
  command: readonly string[],
  surroundings: Surroundings,
): Promise<Outcome> {
  surroundings.tell(quiescedLine(quiet))
  const ended = await runCommand(command, quiet, surroundings).catch(async (error: unknown) => {
    await quiet.resume()
    throw error
  })
  const report = await quiet.resume()
  surroundings.tell(resumedLine(report))
  surroundings.signal.throwIfAborted()
  if (ended !== 0) surroundings.warn(`the command ended with ${String(ended)}: ${command.join(' ')}`)
  return { document: { ...report, commandEnded: ended }, exitCode: ended === 0 ? 0 : 1 }
}

/** The exit code, or the name of the signal that ended it. */
async function runCommand(
  [program = '', ...words]: readonly string[],
  { lsn, untilUs }: PauseInfo,
  { json, signal }: Surroundings,
): Promise<number | string> {
  const child = spawn(program, words, {
    // With --json standard output is our document's.
    stdio: ['inherit', json ? process.stderr : 'inherit', 'inherit'],
    env: { ...process.env, TIMBERLINE_LSN: String(lsn), TIMBERLINE_UNTIL: formatInstant(untilUs) },
  })
  const stop = (): void => {
    child.kill('SIGTERM')
  }
  signal.addEventListener('abort', stop)
  try {
    const [code, endedBy] = (await once(child, 'close')) as [number | null, string | null]
    return code ?? endedBy ?? 'nothing'
  } catch (cause) {
    throw cliError('CLI_SYSTEM', `the command cannot be run: ${program}`, { cause })
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function quiescedLine({ lsn, untilUs }: PauseInfo): string {
  return `quiesced at LSN ${String(lsn)}, until ${formatInstant(untilUs)} at the latest`
}

function resumedLine({ lsn, pausedMs }: PauseReport): string {
  return `resumed after ${formatMs(pausedMs)}; nothing was committed after LSN ${String(lsn)} meanwhile`
}
