/** The label of a standby, as it may be found: only what this version writes is believed, for it says what may be removed. */
import { nodeFileSystem } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { decodeStandbyLabel, readStandbyLabel, writeStandbyLabel } from '../src/standby/standby-label.ts'
import { scratchFolder } from './environment.ts'

const id = 'a'.repeat(32)
const begun = { format: 1, environmentId: id } as const
const line = { timeline: 2, segmentNumber: 7 } as const

const decode = (value: unknown): unknown =>
  decodeStandbyLabel(Buffer.from(JSON.stringify(value)), '/home/standby.json')

describe('the label of a standby', () => {
  test('comes back as it was written, in every phase', async () => {
    const home = await scratchFolder()
    expect(await readStandbyLabel(home, nodeFileSystem)).toBeUndefined()
    for (const label of [
      { ...begun, phase: 'base' },
      { ...begun, phase: 'aside', aside: 'aside-20261126-051500' },
      { ...begun, phase: 'base', aside: 'aside-20261126-051500-2' },
      { ...begun, ...line, phase: 'follow' },
      { ...begun, ...line, phase: 'anew' },
      { ...begun, ...line, phase: 'follow', of: { home: '/home/app', name: 'standby-00ff00ff' } },
      { ...begun, ...line, phase: 'promote', ownerId: 'b'.repeat(32) },
    ] as const) {
      await writeStandbyLabel(home, label, nodeFileSystem)
      expect(await readStandbyLabel(home, nodeFileSystem)).toEqual(label)
    }
  })

  test.each([
    ['nothing', null],
    ['a number', 7],
    ['a list', []],
    ['another format', { ...begun, phase: 'base', format: 2 }],
    ['no phase', begun],
    ['a phase that no version knows', { ...begun, phase: 'dance' }],
    ['no environment', { format: 1, phase: 'base' }],
    ['an environment that is none', { ...begun, phase: 'base', environmentId: 'A'.repeat(32) }],
    ['a folder elsewhere', { ...begun, phase: 'base', aside: '../aside-20261126-051500' }],
    ['a folder that is no text', { ...begun, phase: 'base', aside: 7 }],
    ['a home that has no place', { ...begun, phase: 'base', of: { home: 'app', name: 'standby-00ff00ff' } }],
    ['a name that leads elsewhere', { ...begun, phase: 'base', of: { home: '/app', name: '../x' } }],
    ['a home that is none', { ...begun, phase: 'base', of: 7 }],
    ['no folder to put aside into', { ...begun, phase: 'aside' }],
    ['an owner that is none', { ...begun, ...line, phase: 'promote', ownerId: 'me' }],
    ['a promotion of nobody', { ...begun, ...line, phase: 'promote' }],
    ['no line to follow', { ...begun, phase: 'follow', segmentNumber: 7 }],
    ['no segment to go on after', { ...begun, phase: 'follow', timeline: 2 }],
    ['a line that is no count', { ...begun, ...line, phase: 'follow', timeline: 0 }],
    ['a segment that is no count', { ...begun, ...line, phase: 'follow', segmentNumber: 1.5 }],
  ])('with %s is refused: what lies there may be somebody’s', (_, value) => {
    expect(() => decode(value)).toThrow(
      expect.objectContaining({
        code: 'RECOVERY_TARGET_NOT_EMPTY',
        details: { path: '/home/standby.json' },
      }),
    )
  })

  test('that is no JSON is refused', () => {
    expect(() => decodeStandbyLabel(Buffer.from('{'), '/home/standby.json')).toThrow(
      expect.objectContaining({ code: 'RECOVERY_TARGET_NOT_EMPTY' }),
    )
  })
})
