import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { commandReference } from '../src/reference.ts'

const path = new URL('../README.md', import.meta.url)
const marker = '-->\n'

/** The part above the marker is written by hand, the part below by `REFERENCE=write vitest run packages/cli/test/reference.test.ts`. */
test('the README has the reference that the table of commands makes', () => {
  const text = readFileSync(path, 'utf8')
  const head = text.slice(0, text.indexOf(marker) + marker.length)
  const whole = `${head}\n${commandReference()}`
  if (process.env['REFERENCE'] === 'write') writeFileSync(path, whole)
  expect(readFileSync(path, 'utf8')).toBe(whole)
})
