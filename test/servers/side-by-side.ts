/** Tables of a document that say what two systems do in equal situations, and are held against what both were seen to do. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../repository.ts'

const documentPath = join(root, 'docs/coming-from.md')

/** The rows of the table below a heading of docs/coming-from.md, by situation. */
export function tableBelow(heading: string): ReadonlyMap<string, readonly string[]> {
  const rows = sectionOf(heading)
    .section.split('\n')
    .filter((line) => line.startsWith('| '))
  return new Map(
    rows.slice(2).map((row) => {
      const [name = '', ...cells] = row.slice(2, -2).split(' | ')
      return [name, cells]
    }),
  )
}

/** Puts what was seen into the table, as a new row if need be. */
export function writeRow(heading: string, name: string, cells: readonly string[]): void {
  const row = `| ${[name, ...cells].join(' | ')} |`
  const old = tableBelow(heading).get(name)
  const { text, from, end, section } = sectionOf(heading)
  const before = old === undefined ? undefined : `| ${[name, ...old].join(' | ')} |`
  const now = before === undefined ? `${section.trimEnd()}\n${row}\n` : section.replace(before, () => row)
  writeFileSync(documentPath, text.slice(0, from) + now + text.slice(end))
}

function sectionOf(heading: string): { text: string; from: number; end: number; section: string } {
  const text = readFileSync(documentPath, 'utf8')
  const from = text.indexOf(heading)
  if (from < 0) throw new Error(`docs/coming-from.md has no heading ${heading}`)
  const next = text.indexOf('\n## ', from)
  const end = next < 0 ? text.length : next
  return { text, from, end, section: text.slice(from, end) }
}
