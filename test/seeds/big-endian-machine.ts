/**
 * Writes our formats as a program on a big-endian machine would, from the FORMAT.md documents alone: a value is split into its bytes most
 * significant first, as it stands in such a machine's memory, and then laid down in the order that the document says. No typed
 * array, no `Buffer.write…LE` and nothing of the packages decides about the order of a byte.
 */
import { crc } from '../../packages/wal/test/independent-decoder.ts'

/** A value as it stands in memory there, most significant byte first. */
export function word(value: bigint | number, bytes: number): readonly number[] {
  const digits: number[] = []
  for (let shift = bytes - 1; shift >= 0; shift--)
    digits.push(Number((BigInt(value) >> BigInt(8 * shift)) & 255n))
  return digits
}

/** A value as the documents want it, least significant byte first. */
export function laid(value: bigint | number, bytes: number): readonly number[] {
  return word(value, bytes).toReversed()
}

/** Pieces behind one another. */
export function joined(...pieces: readonly (readonly number[] | Uint8Array | string)[]): Uint8Array {
  return Uint8Array.from(
    pieces.flatMap((piece) => (typeof piece === 'string' ? [...Buffer.from(piece, 'utf8')] : [...piece])),
  )
}

/** The bytes that hexadecimal digits stand for. */
export const fromHex = (hex: string): readonly number[] =>
  Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16))

export interface MachineRecord {
  /** 1 entry, 2 mark, 3 note. */
  readonly kind: number
  readonly time: bigint
  readonly payload: Uint8Array
}

export interface MachineSegment {
  readonly environmentId: string
  readonly timeline: number
  readonly number: bigint
  readonly firstLsn: bigint
  readonly created: bigint
  readonly previous: { number: bigint; bytes: bigint; time: bigint; sealChecksum: number }
  /** Groups, and fences, which have no records. */
  readonly frames: readonly { readonly durableLsn: bigint; readonly records: readonly MachineRecord[] }[]
  /** Absent: the segment is not sealed. */
  readonly seal?: { readonly durableLsn: bigint } | undefined
}

/** A segment of the log: packages/wal/FORMAT.md. */
export function machineSegment(segment: MachineSegment): Uint8Array {
  const { previous } = segment
  const head = joined(
    'TLWALSEG',
    laid(1, 2),
    laid(96, 2),
    laid(segment.timeline, 4),
    fromHex(segment.environmentId),
    laid(segment.number, 8),
    laid(segment.firstLsn, 8),
    laid(segment.created, 8),
    laid(previous.number, 8),
    laid(previous.bytes, 8),
    laid(previous.time, 8),
    laid(previous.sealChecksum, 4),
    laid(0, 8),
  )
  const seed = crc(head)
  let file = joined(head, laid(seed, 4))
  let chain = seed
  let nextLsn = segment.firstLsn
  const add = (frame: { header: Uint8Array; payload: Uint8Array }): void => {
    file = joined(file, frame.header, frame.payload)
    chain = crc(frame.header, chain)
  }
  const records: (MachineRecord & { lsn: bigint })[] = []
  for (const { durableLsn, records: group } of segment.frames) {
    const payload = joined(
      ...group.map(({ kind, time, payload: content }) =>
        joined(laid(content.length, 4), laid(kind, 4), laid(time, 8), content),
      ),
    )
    const time = group[0]?.time ?? records.at(-1)?.time ?? 0n
    const type = group.length === 0 ? 3 : 1
    add(machineFrame(seed, { type, count: group.length, firstLsn: nextLsn, durableLsn, time, payload }))
    for (const record of group) records.push({ ...record, lsn: nextLsn++ })
  }
  if (segment.seal === undefined) return file
  const time = records.at(-1)?.time ?? 0n
  const payload = machineSeal(records, { fileBytes: file.length, chain })
  const { durableLsn } = segment.seal
  add(machineFrame(seed, { type: 2, count: 0, firstLsn: nextLsn, durableLsn, time, payload }))
  return file
}

function machineFrame(
  seed: number,
  frame: {
    readonly type: number
    readonly count: number
    readonly firstLsn: bigint
    readonly durableLsn: bigint
    readonly time: bigint
    readonly payload: Uint8Array
  },
): { header: Uint8Array; payload: Uint8Array } {
  const padded = paddedTo8(frame.payload)
  const covered = joined(
    laid(crc(padded, seed), 4),
    laid(frame.payload.length, 4),
    laid(frame.count, 2),
    [frame.type, 0],
    laid(frame.firstLsn, 8),
    laid(frame.durableLsn, 8),
    laid(frame.time, 8),
  )
  return { header: joined(laid(crc(covered, seed), 4), covered), payload: padded }
}

function machineSeal(
  records: readonly (MachineRecord & { readonly lsn: bigint })[],
  { fileBytes, chain }: { readonly fileBytes: number; readonly chain: number },
): Uint8Array {
  const marks = records.filter(({ kind }) => kind === 2)
  const told = joined(
    ...marks.map(({ lsn, time, payload }) =>
      joined(laid(lsn, 8), laid(time, 8), laid(payload.length, 4), payload),
    ),
  )
  const sealBytes = 40 + paddedTo8(joined(new Uint8Array(40), told)).length + 8
  return joined(
    paddedTo8(
      joined(
        laid(fileBytes + sealBytes, 8),
        laid(records.length, 8),
        laid(records[0]?.time ?? 0n, 8),
        laid(records.at(-1)?.time ?? 0n, 8),
        laid(chain, 4),
        laid(marks.length, 4),
        told,
      ),
    ),
    laid(sealBytes, 4),
    'SEAL',
  )
}

function paddedTo8(bytes: Uint8Array): Uint8Array {
  return joined(bytes, new Uint8Array((8 - (bytes.length % 8)) % 8))
}

export interface MachineWrite {
  readonly key: string
  /** Absent: the key is removed. */
  readonly value?: string
}

/** A transaction: packages/engine/FORMAT.md. MessagePack is big-endian, so words go down as they stand. */
export function machineTransaction(writes: readonly MachineWrite[]): Uint8Array {
  const binary = (text: string): Uint8Array => {
    const { length } = Buffer.from(text, 'utf8')
    return joined(length < 256 ? [0xc4, length] : [0xc6, ...word(length, 4)], text)
  }
  const parts = writes.flatMap(({ key, value }) => [
    binary(key),
    value === undefined ? [0xc0] : binary(value),
  ])
  return joined([0x92, 0x01, 0xdd], word(parts.length, 4), ...parts)
}

/** The value of the applied position: packages/engine/FORMAT.md. */
export function machineApplied(lsn: number, committedAtUs: number): Uint8Array {
  return joined(laid(lsn, 8), laid(committedAtUs, 8))
}

/** What the digest of a state is computed over: packages/engine/FORMAT.md. */
export function machineDigestInput(entries: readonly (readonly [string, string])[]): Uint8Array {
  return joined(
    ...entries.map(([key, value]) =>
      joined(laid(Buffer.byteLength(key), 4), laid(Buffer.byteLength(value), 4), key, value),
    ),
  )
}

/** An object that is not compressed: packages/archive/FORMAT.md. */
export function machineObject(name: string, content: string, sha256: string): Uint8Array {
  const begin = joined('TLOBJECT', laid(1, 2), [0], [0, 0, 0, 0, 0], laid(Buffer.byteLength(content), 8))
  const named = joined(begin, laid(crc(Buffer.from(name)), 4))
  const sum = fromHex(sha256)
  return joined(named, laid(crc(joined(named, sum)), 4), sum, content)
}

/** A delta: packages/recovery/FORMAT.md. */
export function machineDelta(
  header: {
    readonly environmentId: string
    readonly timeline: number
    readonly firstLsn: number
    readonly lastLsn: number
    readonly lastCommittedAtUs: number
  },
  writes: readonly MachineWrite[],
): Uint8Array {
  const head = joined(
    'TLDELTAS',
    laid(1, 2),
    [0, 0, 0, 0, 0, 0],
    fromHex(header.environmentId),
    laid(header.timeline, 8),
    laid(header.firstLsn, 8),
    laid(header.lastLsn, 8),
    laid(header.lastCommittedAtUs, 8),
  )
  const none = laid(0xffffffff, 4)
  const entries = writes.map(({ key, value }) =>
    joined(
      laid(Buffer.byteLength(key), 4),
      value === undefined ? none : laid(Buffer.byteLength(value), 4),
      key,
      value ?? '',
    ),
  )
  return joined(head, laid(crc(head), 4), laid(0, 4), ...entries, none, laid(0, 4), laid(writes.length, 8))
}
