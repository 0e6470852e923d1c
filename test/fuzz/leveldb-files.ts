// Files of a real LevelDB, as seeds: tables with the applied position in them, a MANIFEST of several edits, CURRENT.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { APPLIED_KEY, encodeApplied } from '../../packages/engine/src/reserved-keys.ts'

/** What LevelDB left in its folder. */
export interface LeveldbFiles {
  readonly tables: readonly Buffer[]
  readonly manifest: Buffer
  /** LevelDB's own, with three batches. */
  readonly log: Buffer
  readonly current: Buffer
}

let made: Promise<LeveldbFiles> | undefined

/** Made once a process: opening LevelDB takes longer than many inputs. */
export function leveldbFiles(): Promise<LeveldbFiles> {
  return (made ??= makeFiles())
}

async function makeFiles(): Promise<LeveldbFiles> {
  const folder = mkdtempSync(join(tmpdir(), 'timberline-fuzz-level-'))
  try {
    for (const compression of [true, false]) {
      const level = new ClassicLevel<Buffer, Buffer>(folder, {
        keyEncoding: 'buffer',
        valueEncoding: 'buffer',
        compression,
        multithreading: false,
      })
      await level.open()
      const keys = Array.from({ length: 40 }, (_, index) =>
        Buffer.from(`key ${String(index).padStart(4, '0')}`),
      )
      await level.batch([
        ...keys.map((key) => ({ type: 'put' as const, key, value: Buffer.alloc(200, key) })),
        {
          type: 'put',
          key: APPLIED_KEY,
          value: encodeApplied({ lsn: 40, committedAtUs: 1_700_000_000_000_000 }),
        },
      ])
      // Two ranges that do not meet, so that several tables and edits come about.
      await level.compactRange(Buffer.from('key 0000'), Buffer.from('key 0020'))
      await level.put(Buffer.from('a'), Buffer.from('b'))
      await level.compactRange(Buffer.from('a'), Buffer.from('b'))
      for (const key of keys.slice(0, 3)) await level.put(key, Buffer.alloc(30, key))
      await level.close()
    }
    const names = readdirSync(folder).toSorted()
    const read = (name: string): Buffer => readFileSync(join(folder, name))
    const manifestName = names.find((name) => name.startsWith('MANIFEST-')) ?? ''
    return {
      tables: names.filter((name) => name.endsWith('.ldb')).map(read),
      manifest: read(manifestName),
      log: read(names.findLast((name) => name.endsWith('.log')) ?? ''),
      current: read('CURRENT'),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
