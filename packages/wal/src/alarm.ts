/** A timer that runs once at a time and keeps no process alive: who arms it while it runs is rung with the others. */
export class Alarm {
  readonly #ms: number
  readonly #ring: () => void
  #timer: NodeJS.Timeout | undefined

  /** @param ms - how long after it was armed it rings; 0 is never */
  constructor(ms: number, ring: () => void) {
    this.#ms = ms
    this.#ring = ring
  }

  arm(): void {
    if (this.#ms === 0 || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#ring()
    }, this.#ms).unref()
  }

  cancel(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
