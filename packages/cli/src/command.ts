import type { Arguments, OptionRow } from './arguments.ts'
import type { Progress } from './progress.ts'

/** What a command is given besides its arguments. */
export interface Surroundings {
  /** `--json`: the outcome is printed as one JSON document. */
  readonly json: boolean
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
  /** Standard input, for `load`. */
  readonly input: AsyncIterable<Buffer>
  /** Writes data to standard output; resolves when it took them, so that output of any length needs little memory. */
  readonly write: (text: string) => Promise<void>
  /** Tells a step on standard error, if `-v` was given. */
  readonly tell: (line: string) => void
  /** Tells what the user must know, `-v` or not, on standard error. */
  readonly warn: (line: string) => void
  /** Begins a progress bar on a terminal, occasional lines elsewhere. */
  readonly progress: (title: string, unit: 'bytes' | 'records') => Progress
}

/** How a command ended when it did not throw. */
export interface Outcome {
  /** Printed with `--json`; absent when the command wrote its document itself. */
  readonly document?: unknown
  /** Printed without `--json`. */
  readonly lines?: readonly string[]
  /** 0 unless something was found (1), or a part of the work failed: what its error ends with. */
  readonly exitCode?: number
}

/** The work of one command. */
export type Command = (args: Arguments, surroundings: Surroundings) => Promise<Outcome>

/** One row of the table of commands, from which help, README and parser are made. */
export interface CommandRow {
  /** `checkpoint`, or `archive run` for a command of a group. */
  readonly name: string
  readonly summary: string
  /** `<file> [name]` */
  readonly operands?: string
  readonly options: readonly OptionRow[]
  /** Sentences below the options in help. */
  readonly notes?: readonly string[]
  /** A command line as an example. */
  readonly example: string
  /** Tells what is wrong with options that parse one by one but do not go together. */
  readonly check?: (args: Arguments) => string | undefined
  /** Whether other processes are let go first, which the machine's owner would rather have quick than this one. Default: no. */
  readonly yieldsProcessor?: (args: Arguments) => boolean
  /** Loads the code of the command; help needs none of it. */
  readonly load: () => Promise<Command>
}
