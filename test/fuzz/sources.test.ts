/**
 * Holds the table of decoders against the sources: whoever writes a new decoder must enter it, or say here why it needs no
 * fuzzing. Model: a decoder shows by its name (`decode…`, `parse…`, `unpack…`), by handing text to JSON.parse or a value to a
 * schema, or by reading binary numbers. One that does none of these escapes this test.
 */
import { expect, it } from 'vitest'
import { textFiles } from '../repository.ts'
import { decoders } from './table.ts'

/** Found by their looks, and not decoders of anything that comes from outside. */
const EXEMPT: Readonly<Record<string, string>> = {
  'cli/version.ts#versionOf': 'reads the package.json that the command was installed with',
  'engine/home/home-identity.ts#writeHomeIdentity': 'checks what is about to be written',
}

interface Found {
  readonly key: string
  readonly at: string
}

const sources = textFiles('packages', '.ts').filter(
  ({ path }) => /^packages\/\w+\/src\//.test(path) && !path.includes('/src/testing/'),
)
const shortPath = (path: string): string => path.replace(/^packages\/(\w+)\/src\//, '$1/')
const covered = new Set(decoders.flatMap(({ covers }) => covers))

const FUNCTION = /^(?:export )?(?:async )?function\*? (\w+)/
const METHOD = /^ {2,4}(?:async )?\*?(#?\w+)\(.*\{$/
const BY_NAME = /^#?(?:decode|parse|unpack)(?:[A-Z]\w*)?$/
const BY_USE = /\bJSON\.parse\(|\bv\.(?:safeParse|parse)\(/
const BINARY = /\.read(?:Big)?U?Int\w*\(|\breadU64\(|\.get(?:Big)?U?[iI]nt\d+\(/

function decodersIn(path: string, lines: readonly string[]): Found[] {
  const found: Found[] = []
  let enclosing = ''
  for (const [index, line] of lines.entries()) {
    const name = FUNCTION.exec(line)?.[1] ?? METHOD.exec(line)?.[1]
    if (name !== undefined && !['if', 'for', 'while', 'switch', 'catch'].includes(name)) enclosing = name
    const isDeclared = name !== undefined && BY_NAME.test(name)
    if (isDeclared || BY_USE.test(line.replace(/^\s*(?:\/\/|\*).*/, ''))) {
      found.push({ key: `${shortPath(path)}#${enclosing}`, at: `${path}:${String(index + 1)}` })
    }
  }
  return found
}

const found = sources.flatMap(({ path, lines }) => decodersIn(path, lines))

const binary = sources
  .filter(({ lines }) => lines.some((line) => BINARY.test(line)))
  .map(({ path }) => shortPath(path))

it('every function that decodes has an entry in the table, or a reason to have none', () => {
  expect(found.length).toBeGreaterThan(40)
  expect(found.filter(({ key }) => !covered.has(key) && !(key in EXEMPT))).toEqual([])
})

it('every file that reads binary numbers has an entry in the table', () => {
  const files = new Set([...covered].map((key) => key.replace(/#.*/, '')))
  expect(binary.length).toBeGreaterThan(10)
  expect(binary.filter((file) => !files.has(file))).toEqual([])
})

it('every function that the table names is there', () => {
  const missing = [...covered].filter((key) => {
    const [file = '', name = ''] = key.split(/#(.*)/)
    const source = sources.find(({ path }) => shortPath(path) === file)
    return source === undefined || !declares(source.lines, name)
  })
  expect(missing).toEqual([])
})

it('no reason is given for what is not there', () => {
  const keys = new Set(found.map(({ key }) => key))
  expect(Object.keys(EXEMPT).filter((key) => !keys.has(key))).toEqual([])
})

it('a decoder without an entry is noticed', () => {
  const lines = [
    'export function decodeNothing(bytes: Buffer): number {',
    '  return JSON.parse(String(bytes))',
    '}',
  ]
  const [first] = decodersIn('packages/wal/src/nothing.ts', lines)
  expect(first?.key).toBe('wal/nothing.ts#decodeNothing')
  expect(covered.has(first?.key ?? '')).toBe(false)
})

function declares(lines: readonly string[], name: string): boolean {
  const declaration = new RegExp(`(?:function\\*? |^ +(?:async )?\\*?)${name}[(<]`)
  return lines.some((line) => declaration.test(line))
}
