/** A run of the bench takes an hour: whatever fails in it, what was measured until then is in its file, and the rest is measured all the same. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { limit } from '../../tools/bench/goals.ts'
import { BenchRun, type Column } from '../../tools/bench/run.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bench-'))
  vi.spyOn(console, 'log').mockReturnValue()
  vi.spyOn(console, 'error').mockReturnValue()
})

afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

test('every round ends with all samples in the file', async () => {
  const run = newRun()
  const before: number[] = []
  await run.interleave('one', [
    column('ours', () => before.push(keptOf('ours').length)),
    column('theirs', (round) => round),
  ])
  expect(before).toEqual([0, 1, 2])
  expect(keptOf('theirs')).toEqual([0, 1, 2])
  expect(keptOf('the machine')).toEqual([alone, alone, alone])
})

test('columns take turns', async () => {
  const turns: string[] = []
  await newRun().interleave('one', [
    column('ours', (round) => turns.push(`ours ${String(round)}`)),
    column('theirs', (round) => turns.push(`theirs ${String(round)}`)),
  ])
  expect(turns).toEqual(['ours 0', 'theirs 0', 'ours 1', 'theirs 1', 'ours 2', 'theirs 2'])
})

test('a peer that fails is left out and named, and its samples stay in the file', async () => {
  const run = newRun()
  const { measured, of } = await run.interleave('one', [
    column('ours', (round) => round),
    { ...column('weak', failsIn(1)), isPeer: true },
    { ...column('strong', (round) => 10 + round), isPeer: true },
  ])
  expect(measured.map(({ title }) => title)).toEqual(['ours', 'strong'])
  expect(of('weak')).toEqual([])
  expect(of('strong')).toEqual([10, 11, 12])
  expect(await run.end()).toBe(true)
  expect(keptOf('weak')).toEqual([0])
  expect(kept().failed).toEqual([{ what: 'weak (one)', error: 'Error: in round 1' }])
})

test('another column of ours that fails is left out and named too, but the run has failed', async () => {
  const run = newRun()
  const { of } = await run.interleave('one', [
    column('ours', (round) => round),
    column('ours, larger', failsIn(1)),
    { ...column('theirs', (round) => 10 + round), isPeer: true },
  ])
  expect([of('ours'), of('ours, larger'), of('theirs')]).toEqual([[0, 1, 2], [], [10, 11, 12]])
  expect(kept().failed).toEqual([{ what: 'ours, larger (one)', error: 'Error: in round 1' }])
  expect(await run.end()).toBe(false)
})

test('an absent peer has no samples, and no line among the goals', async () => {
  const run = newRun()
  expect(run.has('nobody', join(folder, 'nobody'))).toBe(false)
  const { of } = await run.interleave('one', [
    column('ours', (round) => round),
    { title: 'nobody', measure: undefined },
  ])
  run.judge({ what: 'speed', against: 'nobody', ratios: of('nobody'), limit: limit('') })
  await run.end()
  expect(kept()).toMatchObject({ absent: ['nobody'], goals: [] })
})

test('a section that fails keeps what it sampled, and the others still run', async () => {
  const run = newRun()
  await run.section('weak', async () => {
    run.judge({ what: 'speed', against: 'itself', ratios: [1], limit: limit('') })
    await run.interleave('weak', [column('ours', failsIn(2))])
  })
  expect(keptOf('ours')).toEqual([0, 1])
  await run.section('strong', async () => {
    await run.interleave('strong', [column('later', (round) => round)])
  })
  expect(await run.end()).toBe(false)
  expect(kept().failed).toEqual([{ what: 'the section weak', error: 'Error: in round 2' }])
  expect(kept().goals).toHaveLength(1)
  expect(keptOf('later')).toEqual([0, 1, 2])
  expect(vi.mocked(console.log).mock.calls.flat().join('\n')).toContain('the section weak: Error: in round 2')
})

test('a program that cannot be started fails its measurement, not the run', async () => {
  const run = newRun()
  const measure = run.scriptPeer<number>('no such script', process.execPath, () => [])
  await run.interleave('one', [column('ours', (round) => round), { title: 'theirs', measure }])
  expect(kept().failed.map(({ what }) => what)).toEqual(['theirs (one)'])
})

test('a measurement that fails is named with what it said last', async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  await expect(newRun().child('nobody', {})).rejects.toThrow('unknown workload: nobody')
})

const alone = { flushesPerSecond: 1, flushP50Ms: 1, flushP99Ms: 1, writeMbPerS: 1, sha256MbPerS: 1 }

function newRun(): BenchRun {
  const machine = (): Promise<typeof alone> => Promise.resolve(alone)
  return new BenchRun({ quick: true, rounds: 3, writerCounts: [1], folder, machine })
}

function column(title: string, of: (round: number) => number): Column<number> {
  let round = 0
  // In its own turn: what it throws is a rejection, as of a process that fails.
  return { title, measure: () => Promise.resolve().then(() => of(round++)) }
}

function failsIn(bad: number): (round: number) => number {
  return (round) => {
    if (round === bad) throw new Error(`in round ${String(round)}`)
    return round
  }
}

interface Kept {
  readonly goals: readonly unknown[]
  readonly failed: readonly { readonly what: string; readonly error: string }[]
  readonly samples: readonly { readonly title: string; readonly samples: readonly unknown[] }[]
}

function kept(): Kept {
  const name = readdirSync(folder).find((entry) => entry.endsWith('.json'))
  return name === undefined
    ? { goals: [], failed: [], samples: [] }
    : (JSON.parse(readFileSync(join(folder, name), 'utf8')) as Kept)
}

function keptOf(title: string): readonly unknown[] {
  return kept().samples.find((column_) => column_.title === title)?.samples ?? []
}
