import { AbstractIterator } from 'abstract-level'
import type { AbstractLevel, AbstractSnapshot } from 'abstract-level'
import type { Overlay, OwnWrite } from './overlay.ts'
import { keyText } from '../commit/read-set.ts'
import type { KeyRange, KeyText, ReadSet } from '../commit/read-set.ts'

/** Range options as abstract-level hands them to an iterator whose keys are buffers. */
export interface TransactionRange {
  readonly gt?: Buffer
  readonly gte?: Buffer
  readonly lt?: Buffer
  readonly lte?: Buffer
  readonly reverse: boolean
  readonly limit: number
  readonly keys?: boolean
  readonly values?: boolean
  readonly snapshot?: AbstractSnapshot | null | undefined
}

/** Where a merged iterator reads. */
export interface MergedSource {
  /** The state at the transaction's beginning, keys included, without limit. */
  readonly below: AbstractIterator<unknown, Buffer, Buffer>
  readonly options: TransactionRange
  readonly overlay: Overlay
  readonly reads: ReadSet
}

type Entry = [Buffer, Buffer]

const READ_AHEAD = 100

/**
 * The state at the beginning of a transaction with its own writes laid over it, in order. What it passes is remembered as read,
 * up to the last key shown, or to the end of the range when it came to its end: a key that others put there counts as a conflict.
 */
export class MergedIterator extends AbstractIterator<AbstractLevel<unknown>, Buffer, Buffer> {
  readonly #below: AbstractIterator<unknown, Buffer, Buffer>
  readonly #options: TransactionRange
  readonly #progress: ReadProgress
  readonly #own: readonly OwnWrite[]
  #ownAt = 0
  #ahead: Entry[] = []
  #aheadAt = 0
  #belowEnded = false

  constructor(level: AbstractLevel<unknown>, source: MergedSource) {
    super(level, source.options as object)
    const { below, options, overlay, reads } = source
    this.#below = below
    this.#options = options
    this.#progress = new ReadProgress(options)
    reads.addRange(this.#progress.range)
    const writes = overlay.sorted().filter(({ key }) => isWithin(options, key))
    this.#own = options.reverse ? writes.toReversed() : writes
  }

  async _next(): Promise<Entry | undefined> {
    for (;;) {
      const below = await this.#peekBelow()
      const own = this.#own[this.#ownAt]
      if (below === undefined && own === undefined) {
        this.#progress.readToEnd()
        return undefined
      }
      const order = this.#compare(below?.[0], own?.key)
      // On the same key, the own write stands for both.
      if (order <= 0) this.#aheadAt += 1
      if (order >= 0) this.#ownAt += 1
      const entry: [Buffer, Buffer | undefined] | undefined =
        order < 0 ? below : own === undefined ? undefined : [own.key, own.value]
      if (entry === undefined) continue
      this.#progress.readThrough(entry[0])
      const isShown = order < 0 || entry[1] !== undefined
      if (isShown) return entry as Entry
    }
  }

  _seek(target: Buffer): void {
    this.#below.seek(target, { keyEncoding: 'buffer' })
    this.#ahead = []
    this.#aheadAt = 0
    this.#belowEnded = false
    const index = this.#own.findIndex(({ key }) => this.#compare(key, target) >= 0)
    this.#ownAt = index < 0 || !isWithin(this.#options, target) ? this.#own.length : index
    // Jumping about: all of the range counts as read.
    this.#progress.readToEnd()
  }

  async _close(): Promise<void> {
    await this.#below.close()
  }

  async #peekBelow(): Promise<Entry | undefined> {
    if (this.#aheadAt === this.#ahead.length && !this.#belowEnded) {
      this.#ahead = await this.#below.nextv(READ_AHEAD)
      this.#aheadAt = 0
      this.#belowEnded = this.#ahead.length === 0
    }
    return this.#ahead[this.#aheadAt]
  }

  /** The order in which two keys are passed; one that is missing comes last. */
  #compare(a: Buffer | undefined, b: Buffer | undefined): number {
    if (a === undefined) return 1
    if (b === undefined) return -1
    return this.#options.reverse ? Buffer.compare(b, a) : Buffer.compare(a, b)
  }
}

/** Above every key. */
const ABOVE_ALL: KeyText = '\uffff'

/** Which part of its range an iterator has read. */
class ReadProgress {
  /** Contains nothing at first, and grows. */
  readonly range: KeyRange = { from: ABOVE_ALL, to: '' }
  readonly #whole: KeyRange
  readonly #isReverse: boolean
  #ended = false

  constructor(options: TransactionRange) {
    // Bounds as if inclusive: where one is not, a key more counts as read, which costs a needless retry at worst.
    const from = options.gte ?? options.gt
    const to = options.lte ?? options.lt
    this.#whole = { from: from && keyText(from), to: to && keyText(to) }
    this.#isReverse = options.reverse
  }

  readThrough(key: Buffer): void {
    if (this.#ended) return
    this.range.from = this.#isReverse ? keyText(key) : this.#whole.from
    this.range.to = this.#isReverse ? this.#whole.to : keyText(key)
  }

  readToEnd(): void {
    this.#ended = true
    this.range.from = this.#whole.from
    this.range.to = this.#whole.to
  }
}

function isWithin({ gt, gte, lt, lte }: TransactionRange, key: Buffer): boolean {
  const isAfterBegin =
    gte === undefined ? gt === undefined || Buffer.compare(key, gt) > 0 : Buffer.compare(key, gte) >= 0
  const isBeforeEnd =
    lte === undefined ? lt === undefined || Buffer.compare(key, lt) < 0 : Buffer.compare(key, lte) <= 0
  return isAfterBegin && isBeforeEnd
}
