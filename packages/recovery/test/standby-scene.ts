/** A home, its archive and a standby beside them, as small as possible; no test waits: each asks the standby to look. */
import { join } from 'node:path'
import {
  type Archive,
  type ArchiveStore,
  createArchive,
  memoryStore,
  openArchive,
  runShipper,
  type Shipper,
} from '@timberline/archive'
import { homeLayout } from '@timberline/engine'
import { onTestFinished } from 'vitest'
import { openStandby, type Standby, type StandbyOptions } from '../src/index.ts'
import { backupInto, digestOf, Environment, scratchFolder, ship } from './environment.ts'

export interface Scene {
  readonly folder: string
  readonly home: string
  readonly env: Environment
  readonly store: ArchiveStore
  readonly archive: Archive
  readonly open: (options?: Partial<StandbyOptions>) => Promise<Standby>
}

/** Records 1 to 10, a backup after the sixth, and all of them archived. */
export async function scene(store: ArchiveStore = memoryStore()): Promise<Scene> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  onTestFinished(() => env.close())
  const archive = await createArchive(store, { environmentId: env.identity.environmentId })
  await env.writeMany(6)
  await backupInto(env, archive, { label: 'b06' })
  await env.writeMany(4)
  await ship(env, archive)
  const home = join(folder, 'standby')
  const open = async (options: Partial<StandbyOptions> = {}): Promise<Standby> => {
    const standby = await openStandby({ archive, home, pollMs: 3_600_000, ...options })
    onTestFinished(() => standby.close())
    return standby
  }
  return { folder, home, env, store, archive, open }
}

/** Whether a standby is at `lsn`, and is what the model is there. */
export async function isAt(standby: Standby, env: Environment, lsn: number): Promise<boolean> {
  const digest = await standby.digest()
  const { hex } = digestOf(env.content(lsn), lsn)
  return standby.status().lsn === lsn && digest.lsn === lsn && digest.hex === hex
}

/** Ships as a shipper that has adopted. */
export async function shipAdopted(env: Environment, archive: Archive): Promise<void> {
  await ship(env, archive)
  const { owner } = await archive.catalogue()
  const last = (await env.segments()).at(-1)
  await archive.appendEvent({
    type: 'owner.adopted',
    epoch: owner?.epoch ?? 0,
    segmentNumber: last?.header.segmentNumber ?? 0,
    endPosition: last?.bytes ?? 0,
  })
}

/** A standby that has followed through record 10 and is closed. */
export async function followed(): Promise<Scene> {
  const made = await scene()
  const standby = await made.open()
  await standby.caughtUp()
  await standby.close()
  return made
}

/** The shipper of a home, as it would run there. */
export function shipperOf(env: Environment, archive: Archive, signal?: AbortSignal): Shipper {
  const { logDirectory } = homeLayout(env.home)
  const more = signal === undefined ? {} : { signal }
  return runShipper({ archive, logDirectory, identity: env.identity, name: 'old', intervalMs: 10, ...more })
}

/** The archive, as another process sees it. */
export function elsewhere({ store }: Pick<Scene, 'store'>): Promise<Archive> {
  return openArchive(store)
}
