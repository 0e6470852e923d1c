/** The databases that are measured, behind the few calls that the workloads need. */
import { TimberLevel } from '@timberline/engine'
import { ClassicLevel } from 'classic-level'

export type Peer = 'timberline' | 'timberline-archived' | 'classic-sync' | 'classic-nosync'

/** The archive that commits of `timberline-archived` wait for. */
export const BENCH_ARCHIVE = 'bench'

export interface OpenPeer {
  put(key: Buffer, value: Buffer): Promise<void>
  get(key: Buffer): Promise<Buffer | undefined>
  batch(entries: readonly (readonly [Buffer, Buffer])[]): Promise<void>
  close(): Promise<void>
}

const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

export async function openPeer(peer: Peer, directory: string): Promise<OpenPeer> {
  const db = newLevel(peer, directory)
  await db.open()
  const options = { sync: peer === 'classic-sync' }
  // Timberline is durable by default; passing `sync: false` there would ask for less than what is measured.
  const write = peer.startsWith('timberline') ? {} : options
  return {
    put: (key, value) => db.put(key, value, write),
    get: (key) => db.get(key),
    batch: (entries) =>
      db.batch(
        entries.map(([key, value]) => ({ type: 'put', key, value })),
        write,
      ),
    close: () => db.close(),
  }
}

function newLevel(peer: Peer, directory: string): ClassicLevel<Buffer, Buffer> {
  if (!peer.startsWith('timberline')) return new ClassicLevel<Buffer, Buffer>(directory, encodings)
  const waiting = { durability: 'archived', archived: { archives: [BENCH_ARCHIVE] } } as const
  const Level = TimberLevel as typeof ClassicLevel
  return new Level<Buffer, Buffer>(directory, {
    ...encodings,
    ...(peer === 'timberline-archived' ? waiting : {}),
  })
}

/** Keys of 16 bytes in scattered order; the values are 100 incompressible-looking bytes, as in the brief's peers table. */
export function keyOf(number: number): Buffer {
  const key = Buffer.alloc(16)
  key.writeUInt32BE(Math.imul(number, 2_654_435_761) >>> 0, 0)
  key.write(String(number).padStart(12, '0'), 4, 'latin1')
  return key
}

export function valueOf(number: number): Buffer {
  const value = Buffer.alloc(100)
  let state = number * 2 + 1
  for (let at = 0; at < 100; at += 4) {
    state = Math.imul(state ^ (state >>> 15), 2_246_822_519) + at
    value.writeInt32LE(state | 0, at)
  }
  return value
}
