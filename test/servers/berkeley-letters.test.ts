/** The letters of Berkeley DB's own tools, as they print them, mean the same on the timberline command (rows B13 to B16). */
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { checkArguments, lettersOf } from 'timberline'

/** Letters with no counterpart here, each for a reason. */
const without: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  hotbackup: { P: 'a home is not encrypted' },
  archive: { P: 'a home is not encrypted' },
  recover: { P: 'a home is not encrypted' },
  checkpoint: { P: 'a home is not encrypted', L: 'a checkpoint writes no pid file' },
  printlog: { P: 'a home is not encrypted', N: 'there is no region lock to ignore' },
}

describe.each([
  ['db5.3_hotbackup', 'hotbackup'],
  ['db5.3_archive', 'archive list'],
  ['db5.3_recover', 'recover'],
  ['db5.3_checkpoint', 'checkpoint'],
  ['db5.3_printlog', 'printlog'],
])('%s', (tool, command) => {
  const theirs = lettersIn(usageOf(tool))

  test('prints its usage', () => {
    expect(theirs.length).toBeGreaterThan(3)
  })

  test(`has its letters on timberline ${command}`, () => {
    const ours = lettersOf(command)
    const excused = Object.keys(without[command.split(' ')[0] ?? ''] ?? {})
    expect(theirs.filter((letter) => !ours.includes(letter) && !excused.includes(letter))).toEqual([])
  })
})

test('db_hotbackup’s own command line is understood', () => {
  const line = ['hotbackup', '-c', '-v', '-h', '/data/home', '-b', '/backup/target']
  expect(checkArguments(line)).toBeUndefined()
  expect(
    checkArguments(['hotbackup', '-cv', '-D', '-h', 'h', '-d', 'data', '-l', 'log', '-b', 't']),
  ).toBeUndefined()
})

function usageOf(tool: string): string {
  // An unknown letter makes them print their usage.
  const { stdout, stderr } = spawnSync(tool, ['-?'], { encoding: 'utf8' })
  return `${stdout}${stderr}`
}

/** `[-cDuVv] [-d data_dir ...] -b backup_dir` → c D u V v d b */
function lettersIn(usage: string): readonly string[] {
  const text = usage.slice(usage.indexOf('usage:'))
  return [
    ...new Set([...text.matchAll(/(?<![\w-])-(\w+)/g)].flatMap(([, letters]) => (letters ?? '').split(''))),
  ]
}
