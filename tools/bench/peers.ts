/** The databases that are measured, behind the few calls that the workloads need. */
import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { TimberLevel } from '@timberline/engine'
import { ClassicLevel } from 'classic-level'

export type Peer = 'timberline' | 'timberline-archived' | 'classic-sync' | 'classic-nosync' | 'lmdb'

/** The archive that commits of `timberline-archived` wait for. */
export const BENCH_ARCHIVE = 'bench'

export interface OpenPeer {
  put(key: Buffer, value: Buffer): Promise<void>
  get(key: Buffer): Promise<Buffer | undefined>
  getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]>
  /** Reads everything, 1,000 entries at a time; how many there were. */
  readAll(): Promise<number>
  batch(entries: readonly (readonly [Buffer, Buffer])[]): Promise<void>
  /** Sorts everything into tables of one level, which leaves LevelDB nothing to do. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** What the workloads write to. */
export type Writable = Pick<OpenPeer, 'put' | 'batch'>

/** Of every database that is measured: keys and values as they are. */
export const BUFFERS = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

export async function openPeer(peer: Peer, directory: string): Promise<OpenPeer> {
  if (peer === 'lmdb')
    return {
      ...openLmdb(directory),
      get: notMeasured,
      getMany: notMeasured,
      readAll: notMeasured,
      settle: notMeasured,
    }
  const db = newLevel(peer, directory)
  await db.open()
  // Timberline is durable by default; passing `sync: false` there would ask for less than what is measured.
  const write = peer.startsWith('timberline') ? {} : { sync: peer === 'classic-sync' }
  return {
    ...writableOf(db, write),
    get: (key) => db.get(key),
    getMany: (keys) => db.getMany([...keys]),
    readAll: () => readAll(db),
    settle: () => db.compactRange(Buffer.alloc(0), Buffer.alloc(32, 0xff)),
    close: () => db.close(),
  }
}

interface WriteOptions {
  readonly sync?: boolean
}

/** What both Levels have; their own types differ by their sublevels. */
interface Written {
  put(key: Buffer, value: Buffer, options: WriteOptions): Promise<void>
  batch(
    entries: { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }[],
    options: WriteOptions,
  ): Promise<void>
}

/** Each call with the same options. */
export function writableOf(db: Written, write: WriteOptions = {}): Writable {
  return {
    put: (key, value) => db.put(key, value, write),
    batch: (entries) =>
      db.batch(
        entries.map(([key, value]) => ({ type: 'put', key, value })),
        write,
      ),
  }
}

async function readAll(db: ClassicLevel<Buffer, Buffer>): Promise<number> {
  const iterator = db.iterator({ highWaterMarkBytes: 1024 * 1024 })
  let count = 0
  for (let entries = await iterator.nextv(1000); entries.length > 0; entries = await iterator.nextv(1000))
    count += entries.length
  await iterator.close()
  return count
}

/** The little of lmdb that is used here; it is not among the dependencies. */
interface Lmdb {
  open(options: object): {
    put(key: Buffer, value: Buffer): Promise<boolean>
    readonly flushed: Promise<unknown>
    transaction(work: () => void): Promise<unknown>
    backup(path: string, compact: boolean): Promise<void>
    close(): Promise<void>
  }
}

/** Where `peers/install.sh` puts lmdb. */
export const lmdbPath: string = fileURLToPath(new URL('./peers/build/node_modules/lmdb', import.meta.url))

/** Peers in C, built by `peers/install.sh`. */
export type CPeer = 'bdb' | 'rocksdb' | 'sqlite'

export function cPeerPath(name: CPeer): string {
  return fileURLToPath(new URL(`./peers/build/${name}`, import.meta.url))
}

/** Where `peers/install.sh` puts Litestream: a program in a package of npm. */
export const litestreamPath: string = fileURLToPath(
  new URL('./peers/build/node_modules/@flydotio/litestream-linux-x64/litestream', import.meta.url),
)

export interface OpenLmdb extends Pick<OpenPeer, 'put' | 'batch' | 'close'> {
  /** A copy of its one file, made by a thread of its own while others commit. */
  backup(target: string): Promise<void>
}

export function openLmdb(directory: string): OpenLmdb {
  const require = createRequire(import.meta.url)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what lmdb’s documentation says of the calls that are used
  const lmdb = require(lmdbPath) as Lmdb
  const db = lmdb.open({ path: directory, keyEncoding: 'binary', encoding: 'binary' })
  return {
    // Resolved when it can be read; `flushed` when it is on the disk.
    put: async (key, value) => {
      await db.put(key, value)
      await db.flushed
    },
    batch: async (entries) => {
      await db.transaction(() => {
        for (const [key, value] of entries) void db.put(key, value)
      })
      await db.flushed
    },
    backup: (target) => db.backup(target, false),
    close: () => db.close(),
  }
}

function notMeasured(): never {
  throw new Error('lmdb is measured in commits and backups only')
}

function newLevel(peer: Peer, directory: string): ClassicLevel<Buffer, Buffer> {
  if (!peer.startsWith('timberline')) return new ClassicLevel<Buffer, Buffer>(directory, BUFFERS)
  const waiting = { durability: 'archived', archived: { archives: [BENCH_ARCHIVE] } } as const
  const Level = TimberLevel as typeof ClassicLevel
  return new Level<Buffer, Buffer>(directory, {
    ...BUFFERS,
    ...(peer === 'timberline-archived' ? waiting : {}),
  })
}
