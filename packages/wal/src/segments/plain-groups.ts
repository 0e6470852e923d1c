/**
 * Passes groups without marks, checked as a reader checks them, and makes nothing of them: neither records nor an object for a frame. Whoever
 * proves a log of small commits passes tens of thousands; a module of WebAssembly does that (docs/decisions/0041).
 */
import { crc32 } from 'node:zlib'
import type { Lsn } from '../records/record.ts'
import { compileModule, moduleFunctions, newModuleMemory, PAGE_BYTES } from '../web-assembly.ts'
import { PLAIN_GROUPS_MODULE } from './plain-groups-module.ts'
import type { SegmentTally } from './segment-tally.ts'

/** Which groups of a window to pass. */
export interface PlainRange {
  /** The place of the first frame. */
  readonly begin: number
  /** None is passed that begins here or behind. */
  readonly end: number
  /** None is passed behind the one that holds this record. */
  readonly throughLsn: Lsn
}

/** See `wasm/plain-groups.ts`; sums are of 32 bits, which JavaScript takes for signed. */
interface PlainGroups {
  begin(): void
  follow(nextLsn: number, durableLsn: number, timeFloorUs: number, chain: number): void
  // oxlint-disable-next-line max-params -- a module takes numbers alone
  pass(from: number, stop: number, limit: number, throughLsn: number, seed: number): number
  passedLsn(): number
  passedDurableLsn(): number
  passedFirstUs(): number
  passedLastUs(): number
  passedChain(): number
}

/** Groups lie behind the module's tables; larger windows have one large group, which the reader judges. */
const GROUPS_AT = 8192
const MEMORY_PAGES = 6
const GROUPS_BYTES_MAX = MEMORY_PAGES * PAGE_BYTES - GROUPS_AT

/** The module, and the memory that it works in. */
interface Loaded {
  readonly groups: PlainGroups
  readonly bytes: Uint8Array
}

let loaded: Loaded | 'none' | undefined

/**
 * Passes plain groups that lie wholly in a window; the tally counts them. Returns the place behind the last one: what stands there is for the
 * reader to judge, as all groups are where there is no WebAssembly.
 */
export function passPlainGroups(window: Buffer, range: PlainRange, tally: SegmentTally): number {
  loaded ??= load()
  if (loaded === 'none') return range.begin
  const { groups, bytes } = loaded
  const there = window.subarray(range.begin, range.begin + GROUPS_BYTES_MAX)
  bytes.set(there, GROUPS_AT)
  const stop = GROUPS_AT + Math.max(0, Math.min(there.length, range.end - range.begin))
  groups.follow(tally.nextLsn, tally.durableLsn, tally.timeFloorUs, tally.chain)
  const end = groups.pass(GROUPS_AT, stop, GROUPS_AT + there.length, range.throughLsn, tally.header.checksum)
  if (end === GROUPS_AT) return range.begin
  tally.advance(groups.passedLsn() - tally.nextLsn, groups.passedFirstUs(), groups.passedLastUs())
  tally.chain = groups.passedChain() >>> 0
  tally.durableLsn = groups.passedDurableLsn()
  return range.begin + end - GROUPS_AT
}

function load(): Loaded | 'none' {
  try {
    const memory = newModuleMemory(MEMORY_PAGES)
    const bytes = Buffer.from(memory.buffer)
    const longSum = (begin: number, end: number, seed: number): number =>
      crc32(bytes.subarray(begin, end), seed >>> 0)
    const imports = { 'plain-groups': { longSum } }
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the module is made of says so, and a test that it is that
    const groups = moduleFunctions(compileModule(PLAIN_GROUPS_MODULE), memory, imports) as PlainGroups
    groups.begin()
    return { groups, bytes }
  } catch {
    return 'none'
  }
}
