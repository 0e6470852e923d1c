/**
 * The seed systems are Berkeley DB, SQLite, OpenEdge and Virtuoso; what their documents say was numbered row by row, and this is how
 * many rows each has. No row may be without a test of its name, nor without a line in docs/coming-from.md.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root, textFiles } from '../repository.ts'

const SEEDS = [
  { name: 'Berkeley DB', letter: 'B', rows: 18, file: 'berkeley-db' },
  { name: 'SQLite', letter: 'S', rows: 12, file: 'sqlite' },
  { name: 'OpenEdge', letter: 'O', rows: 20, file: 'openedge' },
  { name: 'Virtuoso', letter: 'V', rows: 11, file: 'virtuoso' },
]
const page = readFileSync(join(root, 'docs/coming-from.md'), 'utf8')

describe.each(SEEDS)('$name', ({ letter, rows, file, name }) => {
  const ids = Array.from({ length: rows }, (_, at) => `${letter}${String(at + 1)}`)

  test('has a test for each row', () => {
    const sources = textFiles('test/seeds', '.test.ts').filter(({ path }) => path.includes(`/${file}`))
    const titles = sources.flatMap(({ text }) =>
      [...text.matchAll(/^\s*(?:describe|test)(?:\.\w+(?:\([^)]*\))?)?\(\s*['`"]([A-Z]\d+)\b/gm)].map(
        ([, id]) => id,
      ),
    )
    expect(ids.filter((id) => !titles.includes(id))).toEqual([])
  })

  test('has a line for each row', () => {
    const section = page.slice(page.indexOf(`## ${name}`))
    const lines = [...section.matchAll(/^\| ([A-Z]\d+) \| (.+) \|$/gm)].filter(([, id]) =>
      id?.startsWith(letter),
    )
    expect(lines.map(([, id]) => id)).toEqual(ids)
    for (const [, id, cells] of lines) {
      const filled = (cells ?? '').split(' | ').filter((cell) => cell.trim() !== '')
      expect(filled.length, id).toBeGreaterThanOrEqual(2)
    }
  })
})
