/** The size of slices on disks that differ in what a flush costs whatever it holds, and in what each byte of it costs. */
import { describe, expect, it } from 'vitest'
import { SLICE_BYTES_MAX, SLICE_BYTES_MIN, SliceSize } from '../src/pace/slice-size.ts'

const MIB = 1024 * 1024
const TEN_MB_PER_S = 10e6

interface Disk {
  readonly flushMs: number
  readonly msPerMiB: number
}

/** The sizes of a hundred slices. */
function sizesOn({ flushMs, msPerMiB }: Disk): number[] {
  const size = new SliceSize(TEN_MB_PER_S)
  return Array.from({ length: 100 }, () => {
    const { bytes } = size
    size.flushed(bytes, flushMs + (bytes / MIB) * msPerMiB)
    return bytes
  })
}

describe('SliceSize', () => {
  it.each([
    { bytesPerS: 1, bytes: SLICE_BYTES_MIN },
    { bytesPerS: 1e6, bytes: 2 * SLICE_BYTES_MIN },
    { bytesPerS: TEN_MB_PER_S, bytes: MIB },
    { bytesPerS: 40e6, bytes: 4 * MIB },
    { bytesPerS: 1e12, bytes: SLICE_BYTES_MAX },
  ])(
    'holds what passes in a tenth of a second at $bytesPerS bytes a second, within bounds',
    ({ bytesPerS, bytes }) => {
      expect(new SliceSize(bytesPerS).bytes).toBe(bytes)
    },
  )

  it('stays where a flush is quick', () => {
    expect(new Set(sizesOn({ flushMs: 0.4, msPerMiB: 0.8 }))).toEqual(new Set([MIB]))
  })

  it('is halved where bytes take long, until a flush is short', () => {
    expect(sizesOn({ flushMs: 1, msPerMiB: 8 }).slice(0, 4)).toEqual([MIB, MIB / 2, MIB / 4, MIB / 4])
    expect(sizesOn({ flushMs: 0.5, msPerMiB: 200 }).at(-1)).toBe(SLICE_BYTES_MIN)
  })

  it('stays large where a flush takes long whatever it holds', () => {
    expect(sizesOn({ flushMs: 10, msPerMiB: 6 }).slice(0, 4)).toEqual([MIB, MIB / 2, MIB, MIB])
    expect(sizesOn({ flushMs: 10, msPerMiB: 6 }).at(-1)).toBe(MIB)
  })

  it('grows back, and no further, after a disk that was slow for a moment', () => {
    const size = new SliceSize(TEN_MB_PER_S)
    size.flushed(MIB, 50)
    expect(size.bytes).toBe(MIB / 2)
    for (const _ of [1, 2, 3]) size.flushed(size.bytes, 1)
    expect(size.bytes).toBe(MIB)
  })

  it('learns nothing from a slice that was under way when it was halved, nor from the end of a file', () => {
    const size = new SliceSize(TEN_MB_PER_S)
    for (const bytes of [MIB, MIB, 1000]) size.flushed(bytes, 9)
    expect(size.bytes).toBe(MIB / 2)
    size.flushed(MIB / 2, 5)
    expect(size.bytes).toBe(MIB / 4)
  })
})
