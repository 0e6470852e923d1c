import type { FileSystem } from './file-system.ts'

/**
 * Wakes a follower: the folder's watch is the bell, a gathering pause lets a burst of commits arrive as one, and a slow poll
 * stands in for a watch that is missing or lost an event.
 */
export class Doorbell {
  readonly #signal: AbortSignal | undefined
  readonly #stop: () => void
  #rang = false
  #wake: (() => void) | undefined

  constructor(fileSystem: FileSystem, directory: string, signal: AbortSignal | undefined) {
    this.#signal = signal
    this.#stop = fileSystem.watch(directory, () => this.#ring())
    signal?.addEventListener('abort', this.#ring)
  }

  /** Resolves true after a ring and its gathering pause, false when the poll interval passed in silence. */
  async wait(pollMs: number, gatherMs: number): Promise<boolean> {
    if (!this.#rang && !this.#isAborted()) await this.#pause(pollMs)
    const rang = this.#rang
    if (rang && !this.#isAborted() && gatherMs > 0)
      await new Promise((resolve) => setTimeout(resolve, gatherMs))
    // Cleared before the caller looks: what happens from now on rings again.
    this.#rang = false
    return rang
  }

  close(): void {
    this.#stop()
    this.#signal?.removeEventListener('abort', this.#ring)
    this.#ring()
  }

  readonly #ring = (): void => {
    this.#rang = true
    this.#wake?.()
  }

  #isAborted(): boolean {
    return this.#signal?.aborted === true
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }
}
