/**
 * The table of planted bugs, held against the sources and tests that it speaks of. That each bug is really caught is the
 * command's task (`pnpm planted-bugs`); this notices at once when a source or a title has moved away under the table.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bugs } from '../../tools/planted-bugs/bugs.ts'
import { plant } from '../../tools/planted-bugs/planted-bug.ts'
import { counters } from '../../tools/planted-bugs/plugin.ts'
import { packageNames, root } from '../repository.ts'

test('bugs have names of their own, and every package has some', () => {
  expect(new Set(bugs.map(({ name }) => name)).size).toBe(bugs.length)
  const packages = new Set(bugs.map(({ file }) => file.split('/')[1]))
  expect(packages).toEqual(new Set(packageNames()))
  expect(bugs.length).toBeGreaterThanOrEqual(30)
})

describe.each(bugs)('$name', (bug) => {
  test('can be planted in the source as it stands', () => {
    const source = readFileSync(join(root, bug.file), 'utf8')
    expect(plant(bug, source)).not.toBe(source)
  })

  test('names a test file that exists', () => {
    expect(existsSync(join(root, bug.caughtBy.testFile))).toBe(true)
  })
})

test.each(Object.entries(counters))(
  'the count of states can be put into %s as it stands',
  (file, { find }) => {
    expect(readFileSync(join(root, file), 'utf8').split(find)).toHaveLength(2)
  },
)

test('a text that stands twice in a source, or nowhere, cannot be planted', () => {
  const [bug] = bugs
  expect(bug).toBeDefined()
  if (bug === undefined) return
  const edits = [{ find: 'one', replace: 'two' }]
  expect(() => plant({ ...bug, edits }, 'one and one')).toThrow(/2 times/)
  expect(() => plant({ ...bug, edits }, 'nothing')).toThrow(/0 times/)
})
