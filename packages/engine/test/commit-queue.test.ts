/**
 * The log and the state are two hands of the test here: it says what is written, what is durable and which batch of the state
 * has ended or failed, in every order in which the device and LevelDB's thread may come to it.
 */
import type { RecordPlace } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { CommitQueue } from '../src/commit/commit-queue.ts'
import type { Commit } from '../src/commit/commit-queue.ts'
import type { CommitLog } from '../src/commit/commit-log.ts'
import { engineError } from '../src/errors.ts'
import type { NativeBatch, NativeLevel } from '../src/level/native-level.ts'

class HandLog implements CommitLog {
  nextLsn = 1
  durableLsn = 0

  append(): RecordPlace {
    const lsn = this.nextLsn++
    return { lsn, committedAtUs: lsn * 10 }
  }

  async sync(): Promise<number> {
    return this.durableLsn
  }

  async close(): Promise<void> {
    await this.sync()
  }
}

/** A state that takes one batch at a time, and keeps it until the test ends it. */
class HandState {
  readonly taken: number[] = []
  #end: { resolve: () => void; reject: (error: Error) => void } | undefined

  level(): NativeLevel {
    const batch: NativeBatch = {
      add: () => undefined,
      write: ({ lsn }) => {
        this.taken.push(lsn)
        return new Promise((resolve, reject) => (this.#end = { resolve, reject }))
      },
    }
    const unused = (): never => {
      throw new Error('the queue only writes')
    }
    return { batch: () => batch, keys: unused, appliedAt: unused }
  }

  async end(error?: Error): Promise<void> {
    if (error === undefined) this.#end?.resolve()
    else this.#end?.reject(error)
    await settle()
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function scene() {
  const state = new HandState()
  const told: string[] = []
  const queue = new CommitQueue({
    native: state.level(),
    position: { lsn: 0, committedAtUs: 0 },
    queuedBytesMax: 1024 * 1024,
    isStalled: () => false,
    onPlaced: () => undefined,
    onApplied: (commits) => told.push(`applied ${commits.map(({ lsn }) => lsn).join(' ')}`),
    onFailed: () => told.push('failed'),
  })
  queue.attach(new HandLog())
  const commit = (name: string, durable = true): void => {
    const wanted: Commit = { payload: Buffer.from(name), changes: [], kind: 'entry', durable }
    queue.commit(wanted).then(
      ({ lsn }) => told.push(`resolved ${String(lsn)}`),
      (error: { code: string; details: { outcome: string } }) =>
        told.push(`${name} ${error.code} ${error.details.outcome}`),
    )
  }
  return { state, told, queue, commit }
}

const logFailure = engineError('ENGINE_LOG_FAILED', 'the device refused', { details: { outcome: 'unknown' } })

describe('a commit', () => {
  it('goes to the state once it is written, and resolves once device and state both have it', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    expect(state.taken).toEqual([])
    queue.flushed({ writtenLsn: 1, durableLsn: 0 })
    expect(state.taken).toEqual([1])
    await state.end()
    expect(told).toEqual(['applied 1'])
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    await settle()
    expect(told).toEqual(['applied 1', 'resolved 1'])
  })

  it('that the device has first resolves when the state has it', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    await settle()
    expect(told).toEqual([])
    await state.end()
    expect(told).toEqual(['applied 1', 'resolved 1'])
  })

  it('that need not be durable does not wait for the device, but keeps its place behind one that does', async () => {
    const { state, told, queue, commit } = scene()
    commit('a', false)
    commit('b')
    commit('c', false)
    queue.flushed({ writtenLsn: 3, durableLsn: 0 })
    await state.end()
    expect(told).toEqual(['applied 1 2 3', 'resolved 1'])
    queue.flushed({ writtenLsn: 3, durableLsn: 3 })
    await settle()
    expect(told).toEqual(['applied 1 2 3', 'resolved 1', 'resolved 2', 'resolved 3'])
  })

  it('waits with all others while a batch is under way, which then go together', async () => {
    const { state, queue, commit } = scene()
    commit('a')
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    commit('b')
    commit('c')
    queue.flushed({ writtenLsn: 3, durableLsn: 3 })
    expect(state.taken).toEqual([1])
    await state.end()
    expect(state.taken).toEqual([1, 3])
  })
})

describe('a commit whose flush goes on beside the calling thread', () => {
  const flushing = (queue: CommitQueue, told: string[], lsn: number): void => {
    queue.flushing({ writtenLsn: lsn, durableLsn: lsn - 1 }, () => {
      told.push('kept')
      return () => told.push('shown')
    })
  }

  it('goes to the state behind what readers see, and counts as applied once the device has it too', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    flushing(queue, told, 1)
    expect(state.taken).toEqual([1])
    await state.end()
    expect(told).toEqual(['kept'])
    expect([queue.appliedLsn, queue.pending.length]).toEqual([0, 1])
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    await settle()
    expect(told).toEqual(['kept', 'shown', 'applied 1', 'resolved 1'])
  })

  it('that the device has first is shown when the state has it; the next one is kept from readers anew', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    flushing(queue, told, 1)
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    commit('b')
    flushing(queue, told, 2)
    expect(state.taken).toEqual([1])
    await state.end()
    expect(told).toEqual(['kept', 'shown', 'applied 1', 'resolved 1', 'kept'])
    expect(state.taken).toEqual([1, 2])
    queue.flushed({ writtenLsn: 2, durableLsn: 2 })
    await state.end()
    expect(told.slice(5)).toEqual(['shown', 'applied 2', 'resolved 2'])
  })

  it('is shown at once where its flush has ended before the state could take it', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    commit('b')
    flushing(queue, told, 2)
    queue.flushed({ writtenLsn: 2, durableLsn: 2 })
    await state.end()
    await state.end()
    expect(told).toEqual(['applied 1', 'resolved 1', 'applied 2', 'resolved 2'])
  })

  it('is refused when the device fails, though the state has it, and readers are let go', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    flushing(queue, told, 1)
    await state.end()
    queue.fail(logFailure)
    await settle()
    expect(told).toEqual(['kept', 'failed', 'a ENGINE_LOG_FAILED unknown', 'shown', 'applied 1'])
  })

  it('lets readers go when the state fails', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    flushing(queue, told, 1)
    await state.end(new Error('IO error'))
    expect(told).toEqual(['kept', 'shown', 'failed', 'a ENGINE_APPLY_FAILED unknown'])
  })
})

describe('a device that fails', () => {
  it('refuses what it did not flush, though the state has it, and what was not written at all', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    queue.flushed({ writtenLsn: 1, durableLsn: 0 })
    commit('b')
    await state.end()
    queue.fail(logFailure)
    await settle()
    expect(told).toEqual([
      'applied 1',
      'failed',
      'a ENGINE_LOG_FAILED unknown',
      'b ENGINE_LOG_FAILED unknown',
    ])
    expect(queue.appliedLsn).toBe(1)
    commit('c')
    await settle()
    expect(told.at(-1)).toBe('c ENGINE_LOG_FAILED rejected')
  })

  it('refuses no commit that it had flushed before', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    commit('b')
    queue.fail(logFailure)
    await state.end()
    expect(told).toEqual(['failed', 'b ENGINE_LOG_FAILED unknown', 'applied 1', 'resolved 1'])
  })
})

describe('whoever waits for what was appended', () => {
  const waiting = (parts: ReturnType<typeof scene>, throughLsn?: number): void => {
    const name = throughLsn === undefined ? 'all' : `through ${String(throughLsn)}`
    parts.queue.settled(throughLsn).then(
      () => parts.told.push(`${name} settled`),
      ({ code }: { code: string }) => parts.told.push(`${name} ${code}`),
    )
  }

  it('waits for that alone, and not at all where the state has it', async () => {
    const parts = scene()
    const { state, told, queue, commit } = parts
    waiting(parts)
    await settle()
    expect(told).toEqual(['all settled'])
    commit('a')
    waiting(parts)
    waiting(parts, 1)
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    commit('b')
    waiting(parts)
    await state.end()
    expect(told.slice(1)).toEqual(['applied 1', 'resolved 1', 'all settled', 'through 1 settled'])
    waiting(parts, 1)
    await settle()
    expect(told.slice(5)).toEqual(['through 1 settled'])
    queue.flushed({ writtenLsn: 2, durableLsn: 2 })
    await state.end()
    expect(told.slice(6)).toEqual(['applied 2', 'resolved 2', 'all settled'])
  })

  it('gets what is in the log and on its way, though the log fails, and is refused what is not', async () => {
    const parts = scene()
    const { state, told, queue, commit } = parts
    commit('a')
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    commit('b')
    waiting(parts, 1)
    waiting(parts, 2)
    queue.fail(logFailure)
    await settle()
    expect(told).toEqual(['failed', 'b ENGINE_LOG_FAILED unknown', 'through 2 ENGINE_LOG_FAILED'])
    await state.end()
    expect(told.slice(3)).toEqual(['applied 1', 'resolved 1', 'through 1 settled'])
  })

  it('is refused when the state fails', async () => {
    const parts = scene()
    const { state, told, queue, commit } = parts
    commit('a')
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    waiting(parts)
    await state.end(new Error('IO error'))
    expect(told).toEqual(['failed', 'a ENGINE_APPLY_FAILED logged', 'all ENGINE_APPLY_FAILED'])
  })
})

describe('a state that fails', () => {
  it('refuses commits by name and says which of them the log has', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    commit('b')
    queue.flushed({ writtenLsn: 1, durableLsn: 1 })
    await state.end(new Error('IO error'))
    expect(told).toEqual(['failed', 'a ENGINE_APPLY_FAILED logged', 'b ENGINE_APPLY_FAILED unknown'])
    commit('c')
    await settle()
    expect(told.at(-1)).toBe('c ENGINE_LOG_FAILED rejected')
  })

  it('lets the log fail after it without an end left open', async () => {
    const { state, told, queue, commit } = scene()
    commit('a')
    commit('b')
    queue.flushed({ writtenLsn: 1, durableLsn: 0 })
    await state.end()
    queue.flushed({ writtenLsn: 2, durableLsn: 0 })
    await state.end(new Error('IO error'))
    queue.fail(logFailure)
    await settle()
    expect(told).toEqual([
      'applied 1',
      'failed',
      'b ENGINE_APPLY_FAILED unknown',
      'a ENGINE_LOG_FAILED unknown',
    ])
  })
})
