// A process that has no WebAssembly, or is denied the addresses for it, judges each group as a reader does, and comes to the same end.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { memorySource } from '../src/index.ts'
import { forgeFrame, forgeHeader, forgeRecord } from './forged-segment.ts'
import { LACKING_WEB_ASSEMBLY } from './lacking-web-assembly.ts'

const HEADER = forgeHeader()
const GROUPS = 5
const CONTENT = Buffer.concat([
  HEADER,
  ...Array.from({ length: GROUPS }, (_, index) =>
    forgeFrame(HEADER, {
      firstLsn: BigInt(index + 1),
      durableLsn: BigInt(index),
      time: BigInt(2_000 + index),
      payload: forgeRecord({ time: BigInt(2_000 + index) }),
    }),
  ),
])

/** By modules that are loaded anew: what a process has once, it keeps. */
async function passed(): Promise<{ readonly byModule: number; readonly tally: object }> {
  const { FrameReader } = await import('../src/segments/frame-reader.ts')
  const { passPlainGroups } = await import('../src/segments/plain-groups.ts')
  const { SegmentTally } = await import('../src/segments/segment-tally.ts')
  const { decodeSegmentHeader } = await import('../src/segments/segment-decoder.ts')
  const source = memorySource(CONTENT)
  const header = await decodeSegmentHeader(source)
  const reader = new FrameReader(source, header)
  await reader.pass()
  const { nextLsn, chain, durableLsn, firstCommittedAtUs, lastCommittedAtUs } = reader.tally
  const all = { begin: HEADER.length, end: CONTENT.length, throughLsn: Infinity }
  return {
    byModule: passPlainGroups(CONTENT, all, new SegmentTally(header)),
    tally: { nextLsn, chain, durableLsn, firstCommittedAtUs, lastCommittedAtUs },
  }
}

beforeEach(() => vi.resetModules())
// The next file of this worker would find the modules that found nothing.
afterEach(() => vi.unstubAllGlobals().resetModules())

test.each(LACKING_WEB_ASSEMBLY)('a process %s passes groups one by one', async (_, given) => {
  const { byModule, tally } = await passed()
  expect(byModule).toBe(CONTENT.length)
  vi.resetModules()
  vi.stubGlobal('WebAssembly', given())
  expect(await passed()).toEqual({ byModule: HEADER.length, tally })
  expect(tally).toMatchObject({ nextLsn: GROUPS + 1 })
})
