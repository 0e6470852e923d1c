import { Command as Commander, CommanderError, Option } from 'commander'
import { Arguments, type OptionRow, type OptionValue } from './arguments.ts'
import type { CommandRow } from './command.ts'
import { commandTable, groupSummaries } from './command-table.ts'
import { cliError } from './errors.ts'
import { exitTable } from './exit-code.ts'

/** What a command line asks for: a command with arguments, or a text to print (help, version). */
export type Request =
  | { readonly type: 'run'; readonly row: CommandRow; readonly args: Arguments }
  | { readonly type: 'print'; readonly text: string }

/**
 * Understands a command line, without the program's name.
 *
 * @throws CLI_USAGE
 */
export function parseCommandLine(words: readonly string[], version: string): Request {
  let request: Request | undefined
  const printed: string[] = []
  const program = buildProgram(version, (row, args) => (request = { type: 'run', row, args }))
  capture(program, printed)
  try {
    program.parse([...words], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    const isAsked = error.exitCode === 0
    // Without any word the help is an answer, not a complaint, but a script that forgot the command must not succeed.
    if (!isAsked) throw cliError('CLI_USAGE', complaintOf(error, words))
    return { type: 'print', text: printed.join('') }
  }
  if (request === undefined) throw cliError('CLI_USAGE', 'no command given')
  if (request.type === 'run') {
    const complaint = request.row.check?.(request.args)
    if (complaint !== undefined) throw cliError('CLI_USAGE', complaint)
  }
  return request
}

function buildProgram(version: string, onRun: (row: CommandRow, args: Arguments) => void): Commander {
  const program = new Commander('timberline')
    .description('Hot backup, log shipping and point-in-time recovery for Level.')
    .helpOption('--help', 'print this')
    .helpCommand('help [command]', 'print the help of a command')
    .version(version, '-V, --version', 'print the version')
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .addHelpText(
      'after',
      () =>
        `\nExit codes:\n${exitTable.map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`).join('\n')}\n`,
    )
  const groups = new Map<string, Commander>()
  for (const row of commandTable) {
    const [first = '', second] = row.name.split(' ')
    const isGrouped = second !== undefined
    const parent = isGrouped ? groupOf(first, program, groups) : program
    addRow(parent.command(isGrouped ? second : first), row, { version, onRun })
  }
  return program
}

function groupOf(name: string, program: Commander, groups: Map<string, Commander>): Commander {
  const group = groups.get(name) ?? program.command(name).description(groupSummaries.get(name) ?? '')
  groups.set(name, group)
  return group
}

interface Wiring {
  readonly version: string
  readonly onRun: (row: CommandRow, args: Arguments) => void
}

function addRow(command: Commander, row: CommandRow, { version, onRun }: Wiring): void {
  command.description(`${row.summary}`).version(version, '-V, --version', 'print the version')
  if (row.operands !== undefined) command.arguments(row.operands)
  for (const option of row.options) command.addOption(optionOf(option))
  const notes = [...(row.notes ?? []), `Example: ${row.example}`]
  command.addHelpText('after', `\n${notes.join('\n')}\n`)
  command.action(() => onRun(row, new Arguments(valuesOf(command, row), command.args)))
}

function optionOf(row: OptionRow): Option {
  const letter = row.letter === undefined ? '' : `-${row.letter}, `
  const value = row.value === undefined ? '' : ` <${row.value}>`
  const option = new Option(`${letter}--${row.name}${value}`, row.help)
  if (row.isRequired === true) option.makeOptionMandatory()
  if (row.repeats === true)
    option.argParser((text: string, before: unknown) => [...(Array.isArray(before) ? before : []), text])
  else if (row.parse !== undefined) option.argParser(row.parse)
  return option
}

function valuesOf(command: Commander, row: CommandRow): ReadonlyMap<string, OptionValue> {
  const values = new Map<string, OptionValue>()
  for (const { name } of row.options) {
    // Commander stores `--no-digest` as `digest: false`, and `--max-mb` as `maxMb`.
    const isNegation = name.startsWith('no-')
    const key = (isNegation ? name.slice(3) : name).replaceAll(/-(\w)/g, (_, letter: string) =>
      letter.toUpperCase(),
    )
    const value =
      command.getOptionValueSource(key) === 'cli' ? (command.getOptionValue(key) as OptionValue) : undefined
    if (isNegation ? value === false : value !== undefined)
      values.set(name, isNegation ? true : (value as OptionValue))
  }
  return values
}

/** Help and version texts go to the caller, complaints nowhere: they come back as errors. */
function capture(command: Commander, printed: string[]): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => printed.push(text),
    writeErr: () => undefined,
    outputError: () => undefined,
  })
  for (const sub of command.commands) {
    sub.helpOption('--help', 'print this')
    capture(sub, printed)
  }
}

function complaintOf(error: CommanderError, words: readonly string[]): string {
  if (error.code === 'commander.help')
    return words.length === 0 ? 'no command given' : `no such command: ${words.join(' ')}`
  return error.message.replace(/^error: /, '').replaceAll('\n', ' ')
}
