import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openError, openState, type State } from '../src/state.ts'

describe('what LevelDB says when it cannot open', () => {
  const said = (message: string): Error => new Error('Database failed to open', { cause: new Error(message) })

  test.each([
    ['No space left on device', 'ENOSPC'],
    ['Read-only file system', 'EROFS'],
    ['Too many open files', 'EMFILE'],
    ['Too many open files in system', 'ENFILE'],
  ])('is the disk’s refusal, not damage that a rebuild would mend: %s', (words, systemCode) => {
    expect(openError(said(`IO error: home/data/000002.dbtmp: ${words}`), 'home/data')).toMatchObject({
      code: 'ENGINE_IO_FAILED',
      kind: 'unavailable',
      details: { systemCode },
    })
  })

  test('is damage when a file is missing or no table', () => {
    for (const message of [
      'Corruption: 2 missing files',
      'IO error: home/data/MANIFEST-000004: No such file',
    ]) {
      expect(openError(said(message), 'home/data')).toMatchObject({ code: 'ENGINE_STATE_DAMAGED' })
    }
  })
})

test('a state flushes ahead what was applied, and does not close before that is done', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'timberline-state-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const data = join(directory, 'data')
  const write = async (state: State, lsn: number): Promise<void> => {
    const batch = state.level.operationBatch()
    batch.put(Buffer.from('key'), Buffer.from(String(lsn)))
    await batch.write({ lsn, committedAtUs: lsn * 10 })
  }
  const state = await openState(data, { createIfMissing: true })
  await write(state, 1)
  await state.flushAhead()
  expect((await readdir(data)).filter((name) => name.endsWith('.ldb'))).toHaveLength(1)
  await write(state, 2)
  void state.flushAhead()
  await state.close()
  // What is only in LevelDB's own log does not come back.
  await using again = await openState(data, { createIfMissing: false })
  expect(await again.appliedLsn()).toBe(2)
})
