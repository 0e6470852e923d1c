import type { OptionRow } from './arguments.ts'
import type { CommandRow } from './command.ts'
import { commandTable } from './command-table.ts'
import { exitTable } from './exit-code.ts'
import { everywhere } from './rows/shared-options.ts'

/** The reference of all commands as Markdown, as the README carries it. */
export function commandReference(): string {
  const common = everywhere.map((option) => `\`${flags(option)}\` ${option.help}`)
  return [
    `Every command has: ${common.join('; ')}; \`-V, --version\`; \`--help\`.`,
    '',
    ...commandTable.flatMap(section),
    '### Exit codes',
    '',
    '| code | meaning |',
    '| ---: | --- |',
    ...exitTable.map(({ code, meaning }) => `| ${String(code)} | ${meaning} |`),
    '',
  ].join('\n')
}

function section(row: CommandRow): readonly string[] {
  const own = row.options.filter((option) => !everywhere.includes(option))
  return [
    `### timberline ${row.name}${row.operands === undefined ? '' : ` ${row.operands}`}`,
    '',
    `${capital(row.summary)}.`,
    '',
    '| option | |',
    '| --- | --- |',
    ...own.map(
      (option) =>
        `| \`${flags(option)}\` | ${option.help.replaceAll('|', '\\|')}${option.isRequired === true ? ' (needed)' : ''} |`,
    ),
    '',
    ...(row.notes === undefined ? [] : [...row.notes, '']),
    '```sh',
    row.example,
    '```',
    '',
  ]
}

function flags({ letter, name, value }: OptionRow): string {
  return `${letter === undefined ? '' : `-${letter}, `}--${name}${value === undefined ? '' : ` ${value}`}`
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
