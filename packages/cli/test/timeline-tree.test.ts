// The tree of timelines: its text as a function of facts, and the command over a history that branched twice.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { expect, onTestFinished, test } from 'vitest'
import { type TimelineFacts, treeOf } from '../src/commands/timeline.ts'
import { outcome, timberline } from './terminal.ts'

function facts(timeline: number, parent?: number): TimelineFacts {
  const fork = parent === undefined ? {} : { parent, forkLsn: 5 }
  return { timeline, ...fork, begunAtUs: 0, backupCount: 0, isShippedLast: false }
}

function shape(timelines: readonly TimelineFacts[]): readonly string[] {
  return treeOf(timelines).map((line) => line.replace(/timeline (\d+).*/, '$1'))
}

test('children stand below their parents, in order of number', () => {
  const tree = [facts(1), facts(2, 1), facts(3, 1), facts(4, 2), facts(5)]
  expect(shape(tree)).toEqual(['1', '  2', '    4', '  3', '5'])
})

test('a parent that is not held makes a root, and a damaged tree ends', () => {
  expect(shape([facts(7, 3), facts(8, 7)])).toEqual(['7', '  8'])
  expect(shape([facts(2, 2), facts(4, 5), facts(5, 4)])).toEqual(['2', '4', '  5'])
})

test('an abandoned line is shown, and reached by its number; what no line has is told with the nearest points', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'timberline-tree-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const at = (name: string): string => join(folder, name)
  const write = async (home: string, prefix: string): Promise<void> => {
    const db = new TimberLevel(at(home))
    for (let index = 0; index < 5; index++) await db.put(`${prefix}/${String(index)}`, prefix)
    await db.close()
  }
  const archive = ['-a', at('archive')]
  await write('first', 'old')
  await outcome(['archive', 'init', '-h', at('first'), ...archive])
  await outcome(['hotbackup', '-h', at('first'), ...archive])
  await write('first', 'lost')
  await outcome(['archive', 'run', '-h', at('first'), ...archive, '--once'])
  await outcome(['recover', '--from', at('archive'), '-h', at('second'), '--until-lsn', '6', '--through'])
  await outcome(['archive', 'init', '-h', at('second'), ...archive])
  await outcome(['hotbackup', '-h', at('second'), ...archive])
  await write('second', 'new')
  await outcome(['archive', 'run', '-h', at('second'), ...archive, '--once'])

  const { out } = await timberline(['timeline', ...archive])
  expect(out).toMatch(
    /^timeline 1: .* 1 backup\n {2}timeline 2 \(shipped last\): .*left timeline 1 after LSN 6; .* 1 backup\n$/,
  )
  const { timelines } = await outcome(['timeline', ...archive])
  expect(timelines).toMatchObject([
    { timeline: 1, isShippedLast: false },
    { timeline: 2, parent: 1, forkLsn: 6, isShippedLast: true },
  ])
  await outcome(['recover', '--from', at('archive'), '-h', at('third'), '--timeline', '1'])
  const dump = (await timberline(['dump', '-h', at('third')])).out
  expect(dump).toContain('lost/4')
  expect(dump).not.toContain('new/')

  const beyond = ['recover', '--from', at('archive'), '-h', at('none'), '--until-lsn', '900', '--through']
  const refused = await timberline(beyond)
  expect(refused.code).not.toBe(0)
  expect(refused.err).toMatch(/reachableBeforeLsn=\d+/)
})
