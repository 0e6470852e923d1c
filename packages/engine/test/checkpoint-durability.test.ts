/**
 * Fault model: power loss right after a checkpoint has appeared. LevelDB needs a real disk, whose cache no test can take away;
 * so the order of the operations is what is looked at: whatever the checkpoint rests on was synced after its last change, and
 * before the rename by which the checkpoint appears.
 */
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import { FaultFileSystem } from '@timberline/wal/testing'
import type { Operation } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import { openCheckpointKeeper } from '../src/checkpoint/checkpoint-keeper.ts'
import type { KeeperLog } from '../src/checkpoint/checkpoint-keeper.ts'
import { encodeTransaction } from '../src/records/transaction-codec.ts'
import { HomeFixture, operationsOf } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

/** Where the checkpoint appears; -1 when it does not. */
function appearance(operations: readonly Operation[], checkpointDirectory: string): number {
  return operations.findIndex(({ kind, to }) => kind === 'rename' && to?.startsWith(checkpointDirectory))
}

describe('a checkpoint', () => {
  test('appears only when everything it names is durable', async () => {
    const fixture = await HomeFixture.open(join(folder, 'tables'))
    const { checkpointDirectory, dataDirectory, tablesDirectory } = fixture.layout
    let checkpoints = 0
    for (const count of [300, 40, 40]) {
      await fixture.commit(count)
      const disk = new FaultFileSystem(nodeFileSystem)
      const { linkedCount } = await fixture.checkpoint({ fileSystem: disk })
      expect(linkedCount).toBeGreaterThan(0)
      const appeared = appearance(disk.operations, checkpointDirectory)
      const before = disk.operations.slice(0, appeared)
      const lastOf = (kind: Operation['kind'], path: string): number =>
        before.findLastIndex((operation) => operation.kind === kind && operation.path === path)
      const lastLink = before.findLastIndex(
        ({ kind, to }) => kind === 'link' && to?.startsWith(tablesDirectory),
      )
      expect(lastLink).toBeGreaterThan(0)
      // The names of the links,
      expect(lastOf('syncDirectory', tablesDirectory)).toBeGreaterThan(lastLink)
      // what the MANIFEST says, and the names of the files in LevelDB's folder.
      const manifest = before.findLastIndex(
        ({ kind, path }) => kind === 'sync' && path.startsWith(join(dataDirectory, 'MANIFEST-')),
      )
      expect(manifest).toBeGreaterThan(0)
      expect(lastOf('syncDirectory', dataDirectory)).toBeGreaterThan(manifest)
      // And the checkpoint's own name, before anything older is dropped on the strength of it.
      const after = disk.operations.slice(appeared)
      const named = after.findIndex(
        ({ kind, path }) => kind === 'syncDirectory' && path === checkpointDirectory,
      )
      const dropped = after.findIndex(({ kind }) => kind === 'remove')
      expect(named).toBeGreaterThan(0)
      expect(dropped === -1 || dropped > named).toBe(true)
      checkpoints += 1
    }
    console.log(`${String(checkpoints)} checkpoints appeared after what they rest on`)
    await fixture.close()
  })

  test('has older ones forgotten for good before tables go that only they have', async () => {
    const fixture = await HomeFixture.open(join(folder, 'forgotten'))
    const { checkpointDirectory, tablesDirectory } = fixture.layout
    await fixture.commit(300)
    await fixture.checkpoint()
    await fixture.commit(40)
    // Merged, so that the next checkpoint has other tables.
    await fixture.level.compactRange(Buffer.from('key'), Buffer.from('l'))
    const disk = new FaultFileSystem(nodeFileSystem)
    const { droppedCount } = await fixture.checkpoint({ fileSystem: disk })
    expect(droppedCount).toBeGreaterThan(0)
    const after = disk.operations.slice(appearance(disk.operations, checkpointDirectory))
    const steps = after.flatMap(({ kind, path }) => {
      if (kind === 'syncDirectory' && path === checkpointDirectory) return ['synced']
      if (kind !== 'remove') return []
      return [path.startsWith(tablesDirectory) ? 'table' : 'checkpoint']
    })
    const tables = Array.from({ length: droppedCount }, () => 'table')
    // With a first sync for the name of the new one.
    expect(steps).toEqual(['synced', 'checkpoint', 'synced', ...tables])
    await fixture.close()
  })

  test('appears only when the log is durable through it', async () => {
    const fixture = await HomeFixture.open(join(folder, 'log'))
    const { layout, identity, level, log } = fixture
    const steps: string[] = []
    const watched: KeeperLog = {
      get nextLsn() {
        return log.nextLsn
      },
      get activeSegment() {
        return log.activeSegment
      },
      roll: () => log.roll(),
      removeSegmentsBelow: (number) => log.removeSegmentsBelow(number),
      sync: () => {
        steps.push('the log is synced')
        return log.sync()
      },
    }
    /** A commit that nobody waits for goes into the state right before LevelDB is flushed. */
    const writeUnsynced = async (): Promise<void> => {
      const operations = operationsOf(log.nextLsn)
      const place = log.append(encodeTransaction({ operations }), { durable: false })
      const batch = level.operationBatch()
      for (const { key, value } of operations) batch.put(key, value)
      await batch.write(place)
      steps.push(`lsn ${String(place.lsn)} is in the state`)
    }
    const disk = new FaultFileSystem(nodeFileSystem, ({ kind, to }) => {
      if (kind === 'rename' && to?.startsWith(layout.checkpointDirectory))
        steps.push('the checkpoint appears')
      return undefined
    })
    const keeper = await openCheckpointKeeper({
      layout,
      identity,
      level,
      log: watched,
      fileSystem: disk,
      appendNote: (payload) => log.commit(payload, { kind: 'note' }),
      appliedThrough: writeUnsynced,
      policy: { checkpointBytes: 0, checkpointAgeMs: 0 },
    })
    await fixture.commit(5)
    expect((await keeper.take()).lsn).toBe(6)
    expect(steps.slice(0, 3)).toEqual([
      'lsn 6 is in the state',
      'the log is synced',
      'the checkpoint appears',
    ])
    await keeper.close()
    await fixture.close()
  })
})
