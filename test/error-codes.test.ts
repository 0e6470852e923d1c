/**
 * docs/errors.md is written from the tables of errors of all packages, and held against them: a code that users may meet is never
 * undocumented. `vitest run test/error-codes.test.ts -u` writes it anew.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { packageNames, root, textFiles } from './repository.ts'

interface Row {
  readonly code: string
  readonly kind: string
  readonly meaning: string
  readonly hint: string
}

const tables = packageNames()
  .filter((name) => existsSync(join(root, 'packages', name, 'src/errors.ts')))
  .map((name) => ({
    name,
    rows: rowsOf(textFiles(`packages/${name}/src`, 'errors.ts').map(({ text }) => text)),
  }))

test('docs/errors.md lists every code of every package', async () => {
  await expect(page()).toMatchFileSnapshot('../docs/errors.md')
})

test('a code is defined once', () => {
  const codes = tables.flatMap(({ rows }) => rows.map(({ code }) => code))
  expect(codes.filter((code, at) => codes.indexOf(code) !== at)).toEqual([])
})

describe.each(tables)('$name', ({ name, rows }) => {
  test('has a table', () => {
    expect(rows.length).toBeGreaterThan(0)
  })

  test('codes begin with their area', () => {
    const area = name === 'cli' ? 'CLI_' : `${name.toUpperCase()}_`
    expect(rows.map(({ code }) => code).filter((code) => !code.startsWith(area))).toEqual([])
  })

  test('each row has a meaning and a remedy', () => {
    expect(rows.filter(({ meaning, hint, kind }) => meaning === '' || hint === '' || kind === '')).toEqual([])
  })

  test('each code is thrown somewhere', () => {
    const sources = textFiles(`packages/${name}/src`, '.ts').filter(
      ({ path }) => !path.endsWith('/errors.ts'),
    )
    const own = textFiles(`packages/${name}/src`, 'errors.ts').map(({ text }) =>
      text.replaceAll(/^ {2}[A-Z_0-9]+: \{/gm, ''),
    )
    const text = [...own, ...sources.map((source) => source.text)].join('\n')
    expect(rows.map(({ code }) => code).filter((code) => !new RegExp(`\\b${code}\\b`).test(text))).toEqual([])
  })
})

/** Reads the rows as text, comment included: the comment is the documentation, and code cannot be asked for it. */
function rowsOf(texts: readonly string[]): readonly Row[] {
  const row =
    /((?:^ {2}\/\/.*\n|^ {2}\/\*\*[\s\S]*?\*\/\n)*)^ {2}([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+): (\{[\s\S]*?\}),?$/gm
  return texts.flatMap((text) =>
    [...text.matchAll(row)].map(([, comment = '', code = '', body = '']) => ({
      code,
      kind: /kind: '(\w+)'/.exec(body)?.[1] ?? '',
      meaning: plain(comment),
      hint: hintOf(body),
    })),
  )
}

function plain(comment: string): string {
  return comment
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/^(\/\*\*|\*\/|\*|\/\/)\s?/, '')
        .replace(/\*\/$/, '')
        .trim(),
    )
    .filter((line) => line !== '' && !line.startsWith('----'))
    .join(' ')
}

/** The string literals of the hint, joined: a long one is a sum of literals. */
function hintOf(body: string): string {
  const literals = body
    .slice(body.indexOf('hint:'))
    .matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g)
  return [...literals]
    .map(([, single, double, back]) => (single ?? double ?? back ?? '').replaceAll(/\\(.)/g, '$1'))
    .join('')
}

function page(): string {
  const head = [
    '# Error codes',
    '',
    'Every error of Timberline is a `TimberlineError` with a stable `code`, a `kind` that says what a caller can do, a `hint` with the next',
    'step, `details` and the `cause`. The command prints `timberline: CODE message` and the hint. Test on codes; messages may change.',
    '',
    '| kind | what to do |',
    '| --- | --- |',
    '| `corruption` | stop; verify, then repair from the archive or restore |',
    '| `gap` | a needed piece of log or backup is missing; fetch it or choose another target |',
    '| `unavailable` | the environment refused; mend it, reopen, try again |',
    '| `invalid` | mend the call |',
    '| `conflict` | somebody else owns the thing, or wrote something different there |',
    '| `closed` | open it again |',
    '| `aborted` | you asked to stop |',
    '',
    'This page is written from the tables in each package’s `src/errors.ts` and held against them by a test.',
  ]
  const sections = tables.flatMap(({ name, rows }) => [
    '',
    `## ${name === 'cli' ? 'timberline (the command)' : `@timberline/${name}`}`,
    '',
    '| code | kind | meaning, and what leads to it | remedy |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| \`${row.code}\` | ${row.kind} | ${cell(row.meaning)} | ${cell(row.hint)} |`),
  ])
  return [...head, ...sections, ''].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
