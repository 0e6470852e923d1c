// What one call of a series holds, and where: the manifest of a whole backup set, and for each of its files the places in the
// stream of the series. Files that did not change stand where an earlier call put them. FORMAT.md#volumes.
import * as v from 'valibot'
import { type BackupManifest, manifestSchema } from '../catalogue/backup-manifest.ts'
import { decodeCheckedJson, encodeCheckedJson } from '../objects/checked-json.ts'
import { volumeDamaged } from './volume-header.ts'

/** A run of bytes in the stream of a series. */
export interface Extent {
  readonly at: number
  readonly bytes: number
}

/** The content of a series at the end of one of its calls. */
export interface CallIndex {
  readonly call: number
  readonly manifest: BackupManifest
  /** For each file of the manifest, in its order, the runs that it is made of. */
  readonly extents: readonly (readonly Extent[])[]
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const indexSchema = v.object({
  format: v.literal(1),
  call: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  manifest: manifestSchema,
  extents: v.array(v.array(v.tuple([count, count]))),
})

/** The bytes that end a call. */
export function encodeCallIndex({ call, manifest, extents }: CallIndex): Buffer {
  return encodeCheckedJson({
    format: 1,
    call,
    manifest,
    extents: extents.map((runs) => runs.map(({ at, bytes }) => [at, bytes])),
  })
}

/**
 * The index that stands at `endAt` of the stream: whatever it names lies before it.
 *
 * @throws ARCHIVE_VOLUME_DAMAGED
 */
export function decodeCallIndex(name: string, content: Uint8Array, endAt: number): CallIndex {
  const decoded = decodeCheckedJson(content)
  if (decoded.type === 'damaged') throw volumeDamaged(name, `its index is damaged, ${decoded.reason}`)
  const parsed = v.safeParse(indexSchema, decoded.value)
  if (!parsed.success) throw volumeDamaged(name, `its index is none, ${v.summarize(parsed.issues)}`)
  const { call, manifest } = parsed.output
  const extents = parsed.output.extents.map((runs) => runs.map(([at, bytes]) => ({ at, bytes })))
  if (extents.length !== manifest.files.length)
    throw volumeDamaged(name, 'its index has not one place for each file')
  for (const [index, file] of manifest.files.entries()) {
    const runs = extents[index] ?? []
    const isInside = runs.every(({ at, bytes }) => at + bytes <= endAt)
    const total = runs.reduce((sum, { bytes }) => sum + bytes, 0)
    if (!isInside || total !== file.bytes) throw volumeDamaged(name, `its index misplaces ${file.name}`)
  }
  return { call, manifest, extents }
}
