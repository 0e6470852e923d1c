import { join } from 'node:path'
import { readFileWhole, removeIfPresent, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import * as v from 'valibot'
import { engineError } from '../errors.ts'
import { ADOPT_MARKER } from '../home/home-admission.ts'
import { newHomeIdentity } from '../home/home-identity.ts'
import type { HomeIdentity } from '../home/home-identity.ts'

/** What is being done to the folder, so that it can be gone on with after a crash. */
export interface AdoptMarker {
  readonly step: 'adopt' | 'unadopt'
  /** The identity that the home gets, decided once. */
  readonly environmentId: string
  readonly createdAtUs: number
  /** The last transaction in the database that is being released. */
  readonly lsn?: number
}

const BYTES_MAX = 4096
const schema = v.object({
  step: v.picklist(['adopt', 'unadopt']),
  environmentId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  createdAtUs: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  lsn: v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
})

/**
 * The marker of an interrupted step, or `undefined`.
 *
 * @throws ENGINE_ADOPT_UNFINISHED when it is the marker of the other step
 */
export async function readMarker(
  home: string,
  step: AdoptMarker['step'],
  fileSystem: FileSystem,
): Promise<AdoptMarker | undefined> {
  const path = join(home, ADOPT_MARKER)
  if ((await fileSystem.status(path)) === undefined) return undefined
  const bytes = await readFileWhole(path, fileSystem, BYTES_MAX)
  let marker: AdoptMarker
  try {
    marker = v.parse(schema, JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw engineError('ENGINE_HOME_DAMAGED', 'the marker of an adoption cannot be decoded', {
      details: { path },
      cause,
    })
  }
  if (marker.step === step) return marker
  throw engineError('ENGINE_ADOPT_UNFINISHED', `an interrupted ${marker.step} must be finished first`, {
    details: { home },
  })
}

/** Marks durably that a step has begun. */
export async function writeMarker(
  home: string,
  mark: { readonly step: AdoptMarker['step']; readonly lsn?: number },
  fileSystem: FileSystem,
): Promise<AdoptMarker> {
  const { environmentId, createdAtUs } = newHomeIdentity()
  const marker: AdoptMarker = { ...mark, environmentId, createdAtUs }
  await writeFileAtomic(join(home, ADOPT_MARKER), Buffer.from(`${JSON.stringify(marker)}\n`), fileSystem)
  return marker
}

/** The step is done. */
export async function removeMarker(home: string, fileSystem: FileSystem): Promise<void> {
  await removeIfPresent(join(home, ADOPT_MARKER), fileSystem)
  await fileSystem.syncDirectory(home)
}

/** The identity of a home made by adoption. */
export function adoptedIdentity(marker: AdoptMarker): HomeIdentity {
  const { environmentId, createdAtUs } = marker
  return { format: 1, environmentId, timeline: 1, createdAtUs, adoptedAtUs: createdAtUs }
}
