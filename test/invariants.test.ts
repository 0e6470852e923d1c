/** The invariants of ARCHITECTURE.md name tests; a renamed or removed test must not leave one unguarded. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

const root = new URL('../', import.meta.url)
const architecture = await readFile(new URL('ARCHITECTURE.md', root), 'utf8')
const rows = [...architecture.matchAll(/^\| (I\d+) \| .* \| \[.*\]\((.*)\): “(.*)” \|$/gm)].map(
  ([, id = '', path = '', title = '']) => ({
    id,
    path,
    title,
  }),
)

test('the invariants are numbered without a gap', () => {
  expect(rows.map(({ id }) => id)).toEqual(rows.map((_, index) => `I${String(index + 1)}`))
  expect(rows.length).toBeGreaterThanOrEqual(14)
})

test.each(rows)('$id names a test that exists', async ({ path, title }) => {
  const source = await readFile(new URL(path, root), 'utf8')
  expect(source.includes(`'${title}'`) || source.includes(`\`${title}`)).toBe(true)
})
