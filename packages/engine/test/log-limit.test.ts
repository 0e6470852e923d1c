// What the limits of the log ask for, and when they are announced: functions of facts, so that nothing here needs a log or a clock.
import { describe, expect, test } from 'vitest'
import { LimitAlarm } from '../src/checkpoint/limit-alarm.ts'
import { type LogState, reachOf } from '../src/checkpoint/log-limit.ts'

/** Segments 1 to 6 of 100 bytes, one sealed each second; the checkpoint needs 5 and 6. */
const parts = [1, 2, 3, 4, 5, 6].map((segmentNumber) => ({
  segmentNumber,
  bytes: 100,
  writtenAtMs: segmentNumber * 1000,
}))
const confirmed = (name: string, segmentNumber: number, timeline = 1) => ({
  name,
  segmentNumber,
  timeline,
  lsn: 0,
  confirmedAtMs: 0,
})
const state = (more: Partial<LogState> = {}): LogState => ({
  parts,
  checkpoint: { segmentNumber: 5, timeline: 1 },
  confirmations: [confirmed('dead', 0), confirmed('slow', 2), confirmed('healthy', 4)],
  nowMs: 11_000,
  ...more,
})
const none = { logBytesMax: 0, logAgeMsMax: 0 }

describe('the reach of the log', () => {
  test('is told for whom it is held, and for how long', () => {
    expect(reachOf(state(), none)).toEqual({
      logBytes: 600,
      logAgeMs: 10_000,
      share: 0,
      archives: ['dead'],
      behind: ['dead', 'slow'],
      excesses: [],
    })
  })

  test('has no age when every archive has what the checkpoint does not need', () => {
    const confirmations = [confirmed('a', 4), confirmed('b', 9)]
    const reach = reachOf(state({ confirmations }), { logBytesMax: 300, logAgeMsMax: 1 })
    expect(reach).toMatchObject({ logAgeMs: 0, archives: [], behind: [], share: 2 })
    // Above the limit by what the checkpoint needs or somebody holds: nothing to release.
    expect(reach.excesses).toEqual([{ limit: 'bytes', releaseBelow: 0, archives: [] }])
  })

  test('counts nothing for an archive whose lacking segments are gone already', () => {
    const left = parts.filter(({ segmentNumber }) => segmentNumber >= 5)
    expect(reachOf(state({ parts: left }), { logBytesMax: 100, logAgeMsMax: 1 })).toMatchObject({
      logAgeMs: 0,
      archives: [],
      behind: [],
    })
  })

  test('takes the word of an archive about another timeline for none', () => {
    const confirmations = [confirmed('elsewhere', 40, 2)]
    expect(reachOf(state({ confirmations }), none)).toMatchObject({ behind: ['elsewhere'], logAgeMs: 10_000 })
  })

  test.each([
    [600, []],
    [599, [{ limit: 'bytes', releaseBelow: 2, archives: ['dead'] }]],
    [500, [{ limit: 'bytes', releaseBelow: 2, archives: ['dead'] }]],
    [400, [{ limit: 'bytes', releaseBelow: 3, archives: ['dead'] }]],
    [399, [{ limit: 'bytes', releaseBelow: 4, archives: ['dead', 'slow'] }]],
    // What the checkpoint needs stays, whatever the limit.
    [1, [{ limit: 'bytes', releaseBelow: 5, archives: ['dead', 'slow'] }]],
  ])('above %i bytes asks for the oldest segments and no more', (logBytesMax, excesses) => {
    expect(reachOf(state(), { logBytesMax, logAgeMsMax: 0 }).excesses).toEqual(excesses)
  })

  test.each([
    [10_000, []],
    [9999, [{ limit: 'age', releaseBelow: 2, archives: ['dead'] }]],
    [8000, [{ limit: 'age', releaseBelow: 3, archives: ['dead'] }]],
    [7999, [{ limit: 'age', releaseBelow: 4, archives: ['dead', 'slow'] }]],
    [1, [{ limit: 'age', releaseBelow: 5, archives: ['dead', 'slow'] }]],
  ])('above %i ms asks for the segments that are older', (logAgeMsMax, excesses) => {
    expect(reachOf(state(), { logBytesMax: 0, logAgeMsMax }).excesses).toEqual(excesses)
  })

  test('is as near as the nearer of its limits; a clock set back makes nothing old', () => {
    expect(reachOf(state(), { logBytesMax: 1200, logAgeMsMax: 20_000 }).share).toBe(0.5)
    expect(reachOf(state(), { logBytesMax: 800, logAgeMsMax: 20_000 }).share).toBe(0.75)
    expect(reachOf(state(), { logBytesMax: 1200, logAgeMsMax: 12_500 }).share).toBe(0.8)
    expect(reachOf(state({ nowMs: 500 }), { logBytesMax: 0, logAgeMsMax: 1 }).excesses).toEqual([])
  })
})

describe('the alarm', () => {
  const at = (share: number, archives = ['dead']) => ({
    logBytes: 0,
    logAgeMs: 0,
    share,
    archives,
    behind: archives,
    excesses: share > 1 ? [{ limit: 'bytes' as const, releaseBelow: 2, archives }] : [],
  })

  test('tells once while the log hovers, and again after it was well below', () => {
    const alarm = new LimitAlarm({ logAgeMsMax: 0 })
    const told = [0.8, 0.81, 0.79, 0.9, 0.6, 0.95, 0.59, 0.81].map(
      (share) => alarm.announce(at(share), 0).length,
    )
    expect(told).toEqual([0, 1, 0, 0, 0, 0, 0, 1])
  })

  test('tells of an archive that comes to the others', () => {
    const alarm = new LimitAlarm({ logAgeMsMax: 0 })
    expect(alarm.announce(at(0.9), 0)).toEqual(['dead'])
    expect(alarm.announce(at(0.9, ['dead', 'slow']), 0)).toEqual(['dead', 'slow'])
    expect(alarm.announce(at(0.9, ['slow']), 0)).toEqual([])
    expect(alarm.announce(at(0.9), 0)).toEqual([])
  })

  test('lets nothing be done to an archive before it was told of', () => {
    const alarm = new LimitAlarm({ logAgeMsMax: 0 })
    expect(alarm.due(at(2), 0)).toEqual([])
    alarm.announce(at(2), 0)
    expect(alarm.due(at(2), 0)).toHaveLength(1)
    expect(alarm.due(at(2, ['dead', 'slow']), 0)).toEqual([])
    alarm.announce(at(2, ['dead', 'slow']), 0)
    expect(alarm.due(at(2, ['dead', 'slow']), 0)).toHaveLength(1)
    // Nobody to tell: what holds the log is no archive.
    expect(alarm.due(at(2, []), 0)).toHaveLength(1)
  })

  test('gives a fifth of the limit in time as notice', () => {
    const alarm = new LimitAlarm({ logAgeMsMax: 1000 })
    const old = { ...at(2), excesses: [{ limit: 'age' as const, releaseBelow: 2, archives: ['dead'] }] }
    alarm.announce(old, 5000)
    expect(alarm.due(old, 5199)).toEqual([])
    expect(alarm.due(old, 5201)).toHaveLength(1)
  })
})
