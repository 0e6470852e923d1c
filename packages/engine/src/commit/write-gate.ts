/**
 * Lets writes through in the order in which they came, and holds them back while too much is under way: a slow disk then
 * costs waiting, not memory without bound in the log's queue and in LevelDB's.
 */
export class WriteGate {
  readonly #isOpen: () => boolean
  readonly #waiting: (() => void)[] = []
  #begin = 0

  /** @param isOpen - whether one more write may begin now */
  constructor(isOpen: () => boolean) {
    this.#isOpen = isOpen
  }

  /** Whether a write may begin at once; nobody overtakes those who wait. */
  get isOpen(): boolean {
    return this.#waiting.length === this.#begin && this.#isOpen()
  }

  /** Writes held back now. */
  get waitingCount(): number {
    return this.#waiting.length - this.#begin
  }

  /** Runs the write at its turn. */
  wait<Result>(write: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        // What the write throws at once is its rejection too.
        new Promise<Result>((begin) => {
          begin(write())
        }).then(resolve, reject)
      })
    })
  }

  /** Lets through whatever may begin now; called whenever something ended. */
  release(): void {
    while (this.#begin < this.#waiting.length && this.#isOpen()) {
      const next = this.#waiting[this.#begin]
      this.#begin += 1
      next?.()
    }
    if (this.#begin === this.#waiting.length) {
      this.#waiting.length = 0
      this.#begin = 0
    }
  }
}
