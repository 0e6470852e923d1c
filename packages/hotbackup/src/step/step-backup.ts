// SQLite's online backup for Level databases: begun, stepped, finished, at the caller's pace. Unlike there, the copy never begins
// anew, whoever writes; and the target has all of it or nothing.
import { setTimeout as wait } from 'node:timers/promises'
import { asHotbackupError, hotbackupError } from '../errors.ts'
import type { AnyLevel } from './any-level.ts'
import { openPatiently } from './busy.ts'
import {
  checkedPages,
  PAGE_BYTES,
  type RunOptions,
  type StepBackupOptions,
  type StepReport,
} from './step-options.ts'
import { beginSource, entryBytes, pagesOf, type StepSource } from './step-source.ts'
import { folderTarget, levelTarget, type StepTarget } from './step-target.ts'

const PAGES_PER_STEP = 128
/** What a long step holds in memory at once. */
const CHUNK_BYTES = 1024 * 1024

/**
 * Begins to copy one Level database over another: any two of abstract-level, also in memory, also Timberline's own. The source is
 * read once to measure it, then step by step from one snapshot; writers go on. The target is an open database, or the path of a
 * LevelDB that is to be made.
 *
 * @throws HOTBACKUP_OPTIONS, HOTBACKUP_STEP_BUSY, HOTBACKUP_STEP_TARGET
 * @example
 * const backup = await beginBackup(db, './copy')
 * while ((await backup.step(100)) === 'more') show(backup.remainingPages, backup.pageCount)
 * const { digest } = await backup.finish()
 */
export async function beginBackup(
  source: AnyLevel,
  target: AnyLevel | string,
  options: StepBackupOptions = {},
): Promise<StepBackup> {
  await openPatiently(() => source.open(), options)
  if (typeof target !== 'string') await openPatiently(() => target.open(), options)
  const into =
    typeof target === 'string'
      ? await folderTarget(target, options)
      : await levelTarget(target, source, options)
  try {
    const from = await beginSource(source, options.asOf)
    const isTail = from.lsn !== undefined && options.asOf !== 'start'
    return new StepBackup(from, into, isTail ? 'end' : 'start')
  } catch (error) {
    await into.staging.remove()
    throw error
  }
}

/** A copy under way. The first error is the copy's: every later call throws the same. */
export class StepBackup {
  /** Pages of 8 KiB that the source had at the beginning. */
  readonly pageCount: number
  readonly #source: StepSource
  readonly #target: StepTarget
  readonly #asOf: 'start' | 'end'
  #copiedBytes = 0
  #end: 'finished' | 'abandoned' | undefined
  #failure: { readonly error: unknown } | undefined
  #turn: Promise<unknown> = Promise.resolve()

  /** Use `beginBackup`. */
  constructor(source: StepSource, target: StepTarget, asOf: 'start' | 'end') {
    this.#source = source
    this.#target = target
    this.#asOf = asOf
    this.pageCount = pagesOf(source.bytes)
  }

  /** Pages that steps have yet to copy; 0 when only `finish` is left. */
  get remainingPages(): number {
    return this.#isCopied ? 0 : Math.max(1, this.pageCount - Math.floor(this.#copiedBytes / PAGE_BYTES))
  }

  get #isCopied(): boolean {
    return this.#copiedBytes >= this.#source.bytes
  }

  /** Copies at least so many pages, -1 for the rest; resolves with `done` when nothing is left to step through. */
  step(pages: number): Promise<'more' | 'done'> {
    return this.#inTurn(async () => {
      const until = this.#copiedBytes + checkedPages(pages) * PAGE_BYTES
      while (this.#copiedBytes < Math.min(until, this.#source.bytes)) {
        const entries = await this.#source.next(Math.min(until - this.#copiedBytes, CHUNK_BYTES))
        await this.#target.staging.put(entries)
        for (const entry of entries) this.#copiedBytes += entryBytes(entry)
      }
      return this.#isCopied ? 'done' : 'more'
    })
  }

  /** Goes through all steps and finishes; an abort leaves the target as it was. @throws HOTBACKUP_ABORTED */
  async run(options: RunOptions = {}): Promise<StepReport> {
    const { pagesPerStep = PAGES_PER_STEP, pauseMs = 0, onProgress, signal } = options
    const target = this.#target.staging.directory
    try {
      for (;;) {
        signal?.throwIfAborted()
        const state = await this.step(pagesPerStep)
        onProgress?.({ remainingPages: this.remainingPages, pageCount: this.pageCount })
        if (state === 'done') return await this.finish()
        if (pauseMs > 0) await wait(pauseMs, undefined, signal === undefined ? {} : { signal })
      }
    } catch (error) {
      await this.abandon()
      throw asHotbackupError(error, { target, ...(signal === undefined ? {} : { signal }) })
    }
  }

  /**
   * Gives the target its content, all at once. Before the last step there is nothing to give: then it is as `abandon`, and throws.
   *
   * @throws HOTBACKUP_STEP_UNFINISHED, HOTBACKUP_STEP_TARGET
   */
  finish(): Promise<StepReport> {
    return this.#inTurn(async () => {
      if (!this.#isCopied) {
        throw hotbackupError('HOTBACKUP_STEP_UNFINISHED', 'a copy was finished before its last step', {
          details: { remainingPages: this.remainingPages },
        })
      }
      const { staging } = this.#target
      let { lsn } = this.#source
      if (this.#asOf === 'end') {
        const tail = await this.#source.tail()
        for await (const operations of tail.groups) await staging.apply(operations)
        lsn = tail.lsn
      }
      const { entries, bytes, hex } = await staging.digest(lsn ?? 0)
      const counts = { entries, bytes, pageCount: this.pageCount, asOf: this.#asOf, digest: hex }
      const report = lsn === undefined ? counts : { ...counts, lsn }
      await this.#target.commit(report)
      this.#end = 'finished'
      await this.#release()
      return report
    })
  }

  /** Gives up; the target is as it was. Safe to call twice, and after `finish`. */
  async abandon(): Promise<void> {
    await this.#turn.catch(() => undefined)
    this.#end ??= 'abandoned'
    await this.#release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.abandon()
  }

  async #release(): Promise<void> {
    await this.#source.close()
    await this.#target.staging.remove()
  }

  /** One call at a time. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => {
      if (this.#failure !== undefined) throw this.#failure.error
      if (this.#end !== undefined) {
        throw hotbackupError('HOTBACKUP_STEP_ENDED', `the copy is ${this.#end}`)
      }
      try {
        return await work()
      } catch (error) {
        this.#failure = { error }
        this.#end = 'abandoned'
        await this.#release()
        throw error
      }
    })
    this.#turn = result.catch(() => undefined)
    return result
  }
}
