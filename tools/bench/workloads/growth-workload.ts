/**
 * The same work on databases of different sizes, each part in a process of its own, so that its largest resident set is that of the
 * part alone. The parts follow each other over one folder, in the order of their names below.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { directoryStore, openArchive } from '@timberline/archive'
import { TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { BUFFERS, type Writable, writableOf } from '../peers.ts'
import { keyOf, valueOf } from '../records.ts'
import { newArchive, startShipper } from './archives.ts'
import { untilAtRest } from './rest.ts'
import { timed } from './timing.ts'
import { fill, writeFor } from './writers.ts'

export interface PartWork {
  readonly folder: string
  readonly records: number
  readonly seconds: number
}

export interface PartResult {
  /** Of the operation alone; p99 of a commit for the commits. */
  readonly ms: number
  /** Of commits. */
  readonly perSecond?: number
  /** What was written elsewhere; none for commits. */
  readonly megabytes: number
  /** Largest resident set of the process. */
  readonly rssMb: number
}

/** Keys that change between the full backup and the next one, whatever the size. */
export const CHANGED_KEYS = 1000

/** `ship` sends the log of `fill`, `ship-rest` what came later. */
export const PARTS = [
  'fill',
  'ship',
  'commit',
  'full',
  'changed',
  'by-log',
  'by-files',
  'ship-rest',
  'recover',
] as const

export type Part = (typeof PARTS)[number]

type Cost = Omit<PartResult, 'rssMb'>

const nothing: Cost = { ms: 0, megabytes: 0 }

const parts: Readonly<Record<Part, (work: PartWork) => Promise<Cost>>> = {
  fill: async ({ folder, records }) => {
    const db = await openWithoutCheckpoints(folder)
    // From here on the home keeps its log until the archive has it, also when it is closed.
    await ship(folder)
    await fill(db, records)
    await db.close()
    return nothing
  },
  ship: ({ folder }) => ship(folder),
  commit: async ({ folder, seconds }) => {
    const db = await openWithoutCheckpoints(folder)
    await untilAtRest()
    const { p99Ms, commitsPerSecond } = await writeFor(db, { writers: 64, seconds })
    await db.checkpoint()
    await db.close()
    return { ms: p99Ms, perSecond: commitsPerSecond, megabytes: 0 }
  },
  full: async ({ folder }) => {
    const archive = await openArchive(directoryStore(join(folder, 'archive')))
    await hotbackup({ home: homeOf(folder), target: { archive }, digest: false })
    return backUp(folder, 'backup', {})
  },
  changed: async ({ folder }) => {
    const db = await openWithoutCheckpoints(folder)
    for (let number = 0; number < CHANGED_KEYS; number++) await db.put(keyOf(number), valueOf(number + 1))
    await db.checkpoint()
    await db.close()
    return nothing
  },
  'by-log': ({ folder }) => backUp(folder, 'backup', { update: true }),
  'by-files': async ({ folder }) => backUp(folder, 'incremental', { base: join(folder, 'backup') }),
  'ship-rest': ({ folder }) => ship(folder),
  recover: async ({ folder }) => {
    const archive = await openArchive(directoryStore(join(folder, 'archive')))
    const home = join(folder, 'recovered')
    const ms = await timed(() => recover({ from: { archive }, home }))
    return { ms, megabytes: 0 }
  },
}

export async function measurePart({ part, ...work }: PartWork & { part: Part }): Promise<PartResult> {
  const result = await parts[part](work)
  return { ...result, rssMb: process.resourceUsage().maxRSS / 1024 }
}

function homeOf(folder: string): string {
  return join(folder, 'home')
}

/** Without checkpoints on the way, so that each run has the same. */
async function openWithoutCheckpoints(
  folder: string,
): Promise<Writable & Pick<TimberLevel, 'checkpoint' | 'close'>> {
  const db = new TimberLevel<Buffer, Buffer>(homeOf(folder), {
    ...BUFFERS,
    checkpoint: { checkpointBytes: 0, checkpointAgeMs: 0 },
  })
  await db.open()
  return {
    ...writableOf(db),
    checkpoint: () => db.checkpoint(),
    close: () => db.close(),
  }
}

async function ship(folder: string): Promise<Cost> {
  const home = homeOf(folder)
  const path = join(folder, 'archive')
  const archive = existsSync(path) ? await openArchive(directoryStore(path)) : await newArchive(home, path)
  const shipper = await startShipper(home, archive)
  const ms = await timed(() => shipper.flushWhole())
  await shipper.stop()
  return { ms, megabytes: 0 }
}

async function backUp(
  folder: string,
  name: string,
  how: { readonly update?: boolean; readonly base?: string },
): Promise<Cost> {
  const target = join(folder, name)
  const { ms, copiedBytes } = await hotbackup({ home: homeOf(folder), target, digest: false, ...how })
  return { ms, megabytes: copiedBytes / 1e6 }
}
