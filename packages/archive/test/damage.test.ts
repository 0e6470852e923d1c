/*
 * Fault model: one byte flipped, an object cut, an object removed, two objects swapped, anywhere in a finished archive. Held: each
 * reading of the archive is refused with a code, or gives exactly the records that were archived; `verifyArchive` names what
 * is amiss.
 */
import { createHash } from 'node:crypto'
import { TimberlineError } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { type ArchiveStore, memoryStore, openArchive, verifyArchive } from '../src/index.ts'
import {
  appendRecords,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  IDENTITY,
  openTestLog,
  ship,
} from './support/archive-scene.ts'
import { copyOf, finishedArchive, namesOf } from './support/finished-archive.ts'

/** A fingerprint of all that an archive gives: records, in order, and the files of backups. */
async function readAll(store: ArchiveStore): Promise<string> {
  const archive = await openArchive(store, { environmentId: IDENTITY.environmentId })
  const hash = createHash('sha256')
  for (const { lsn, payload } of await archivedRecords(archive)) hash.update(`${lsn} `).update(payload)
  for (const { label } of (await archive.catalogue()).backups) {
    for (const file of (await archive.backupManifest(label)).files) {
      for await (const chunk of archive.fetchBackupFile(file)) hash.update(chunk)
    }
  }
  return hash.digest('hex')
}

async function findings(store: ArchiveStore): Promise<string[]> {
  const found: string[] = []
  try {
    for await (const { code } of verifyArchive(await openArchive(store))) found.push(code)
  } catch (error) {
    found.push(codeOf(error))
  }
  return found
}

function codeOf(error: unknown): string {
  if (error instanceof TimberlineError) return error.code
  throw error
}

/** The code of the refusal, or `right`. */
async function outcomeOf(store: ArchiveStore, expected: string): Promise<string> {
  try {
    return (await readAll(store)) === expected ? 'right' : 'WRONG'
  } catch (error) {
    return codeOf(error)
  }
}

describe('a damaged archive', () => {
  it('refuses a flipped byte anywhere by name, or gives what was archived', async () => {
    const store = await finishedArchive()
    const expected = await readAll(store)
    expect(await findings(store)).toEqual([])
    const outcomes = new Map<string, number>()
    for (const name of await namesOf(store)) {
      const { length } = await store.get(name)
      const step = Math.max(1, Math.floor(length / 100))
      const places = Array.from({ length: Math.ceil(length / step) }, (_, at) => at * step)
      for (const at of oneIn(2, places)) {
        const damaged = await copyOf(store, (one, content) => {
          if (one === name) content[at] = (content[at] ?? 0) ^ (1 << (at % 8))
          return content
        })
        const outcome = await outcomeOf(damaged, expected)
        expect(outcome, `${name} at ${at}`).not.toBe('WRONG')
        const found = outcome === 'right' ? ['nothing to find'] : await findings(damaged)
        expect(found, `${name} at ${at}`).not.toEqual([])
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
    }
    console.log('flipped bytes:', Object.fromEntries(outcomes))
    expect(outcomes.get('ARCHIVE_OBJECT_DAMAGED')).toBeGreaterThan(100)
    expect(outcomes.get('ARCHIVE_JOURNAL_DAMAGED')).toBeGreaterThan(100)
  }, 120_000)

  it('refuses every object that was cut or removed, or says what is missing', async () => {
    const store = await finishedArchive()
    const expected = await readAll(store)
    for (const name of await namesOf(store)) {
      for (const part of [undefined, 0, 0.3, 0.99]) {
        const damaged = await copyOf(store, (one, content) => {
          if (one !== name) return content
          return part === undefined ? undefined : content.subarray(0, Math.floor(content.length * part))
        })
        const outcome = await outcomeOf(damaged, expected)
        const isLastPiece =
          part === undefined && name === (await namesOf(store)).findLast((one) => one.startsWith('piece/'))
        const isLastEvent =
          part === undefined && name === (await namesOf(store)).findLast((one) => one.startsWith('journal/'))
        // Nothing tells that the newest of all was ever there; what is left is a true, older state.
        if (isLastPiece || isLastEvent) continue
        expect(outcome, `${name} cut to ${part}`).toMatch(/^ARCHIVE_/)
        expect(await findings(damaged), `${name} cut to ${part}`).not.toEqual([])
      }
    }
  }, 120_000)

  it('refuses objects that stand in each other’s place', async () => {
    const store = await finishedArchive()
    const expected = await readAll(store)
    const names = await namesOf(store)
    for (const [index, name] of names.entries()) {
      const other = names[(index + 1) % names.length] ?? name
      const swapped = await copyOf(store, (_, content) => content)
      const [a, b] = [await store.get(name), await store.get(other)]
      await swapped.delete(name)
      await swapped.delete(other)
      await swapped.put(name, b)
      await swapped.put(other, a)
      expect(await outcomeOf(swapped, expected), `${name} and ${other}`).toMatch(/^ARCHIVE_/)
    }
  })

  it('heals a damaged piece when its shipper begins anew', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const store = memoryStore()
    for (const count of [3, 3, 3]) {
      const { shipper, stop } = ship(disk, await archiveOn(store))
      await appendRecords(log, count)
      await shipper.flush()
      await stop()
    }
    const [, second] = (await namesOf(store)).filter((name) => name.startsWith('piece/'))
    const damaged = await copyOf(store, (name, content) =>
      name === second ? content.subarray(0, 80) : content,
    )
    expect(await findings(damaged)).not.toEqual([])
    const { shipper, stop } = ship(disk, await archiveOn(damaged))
    await shipper.flush()
    await stop()
    expect(await findings(damaged)).toEqual([])
    expect(await archivedRecords(await archiveOn(damaged))).toHaveLength(9)
    await log.close()
  })
})
