/**
 * Writes volumes, their parity and the index of a call as big-endian-machine.ts writes the rest: from packages/archive/FORMAT.md alone.
 */
import { crc } from '../../packages/wal/test/independent-decoder.ts'
import { fromHex, joined, laid } from './big-endian-machine.ts'

export interface MachineVolume {
  readonly seriesId: string
  readonly volume: number
  readonly call: number
  readonly callFirstVolume: number
  readonly isLastOfCall: boolean
  readonly volumePages: number
  readonly parity: number
  readonly pages: number
  readonly firstPage: number
  readonly indexAt: number
  readonly indexBytes: number
}

/** A volume: packages/archive/FORMAT.md. The blocks are gzip members, which have a byte order of their own. */
export function machineVolume(
  volume: MachineVolume,
  blocks: readonly Uint8Array[],
  sha256Of: (content: Uint8Array) => string,
): Uint8Array {
  const places = Math.ceil((volume.volumePages * 8192) / (1024 * 1024))
  const table = joined(...Array.from({ length: places }, (_, at) => laid(blocks[at]?.length ?? 0, 4)))
  const content = joined(...blocks)
  const begin = joined(
    'TLVOLUME',
    laid(1, 2),
    laid(volume.isLastOfCall ? 1 : 0, 2),
    laid(0, 4),
    fromHex(volume.seriesId),
    laid(volume.volume, 4),
    laid(volume.call, 4),
    laid(volume.callFirstVolume, 4),
    laid(volume.volumePages, 4),
    laid(volume.parity, 4),
    laid(volume.pages, 4),
    laid(volume.firstPage, 8),
    laid(volume.indexAt, 8),
    laid(volume.indexBytes, 8),
    laid(128 + table.length + content.length, 8),
    laid(0, 4),
  )
  const sum = fromHex(sha256Of(joined(content, table)))
  return joined(begin, laid(crc(joined(begin, sum)), 4), sum, table, content)
}

/** Volumes of one group, in their order, and of which call they are. */
export interface MachineGroup {
  readonly seriesId: string
  readonly call: number
  readonly first: number
  readonly volumes: readonly Uint8Array[]
}

/** The parity volume of a group. */
export function machineParity(
  { seriesId, call, first, volumes }: MachineGroup,
  sha256Of: (content: Uint8Array) => string,
): Uint8Array {
  const body = new Uint8Array(Math.max(...volumes.map(({ length }) => length)))
  for (const volume of volumes) for (const [at, byte] of volume.entries()) body[at] = (body[at] ?? 0) ^ byte
  const behind = joined(...volumes.map(({ length }) => laid(length, 8)), body)
  const begin = joined(
    'TLPARITY',
    laid(1, 2),
    laid(0, 6),
    fromHex(seriesId),
    laid(first, 4),
    laid(call, 4),
    laid(first + volumes.length - 1, 4),
    laid(0, 36),
    laid(128 + behind.length, 8),
    laid(0, 4),
  )
  const sum = fromHex(sha256Of(behind))
  return joined(begin, laid(crc(joined(begin, sum)), 4), sum, behind)
}

/** Checked JSON, which is text and has no byte order: what ends a call is that. */
export function machineCheckedJson(value: object, sha256Of: (content: Uint8Array) => string): Uint8Array {
  const text = JSON.stringify(value, undefined, 2)
  const body = text.slice(0, -2)
  return joined(body, `,\n  "sha256": "${sha256Of(Buffer.from(body))}"\n}\n`)
}
