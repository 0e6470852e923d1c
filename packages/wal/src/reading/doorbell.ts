import type { FileSystem } from '../files/file-system.ts'

/**
 * Wakes a follower: the folder's watch is the bell, a gathering pause lets a burst of commits arrive as one, and a slow poll
 * stands in for a watch that is missing or lost an event. The watch is taken down while a burst gathers: the bell rings once
 * for a burst, not once for each of its commits, which in the writer's own process would cost it as much as the commits.
 */
export class Doorbell {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #signal: AbortSignal | undefined
  #stop: (() => void) | undefined
  #rang = false
  #wake: (() => void) | undefined

  constructor(fileSystem: FileSystem, directory: string, signal: AbortSignal | undefined) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#signal = signal
    this.#listen()
    signal?.addEventListener('abort', this.ring)
  }

  /**
   * Resolves true after a ring and its gathering pause, false when the poll interval passed in silence. A caller that paces
   * itself is asked in both cases, and told whether the bell rang. Where it answers that more is sure to come, the next wait does
   * not listen first: to put up the watch and to be woken by it costs more than a look.
   */
  async wait(pollMs: number, gather: number | ((rang: boolean) => Promise<boolean>)): Promise<boolean> {
    if (!this.#rang && !this.#isAborted()) await this.#pause(pollMs)
    const rang = this.#rang
    let isMoreToCome = false
    if (typeof gather === 'function') isMoreToCome = await gather(rang)
    else if (rang && !this.#isAborted() && gather > 0)
      await new Promise((resolve) => setTimeout(resolve, gather))
    // Cleared before the caller looks: what happens from now on rings again.
    this.#rang = isMoreToCome
    if (!isMoreToCome && this.#stop === undefined) this.#listen()
    return rang
  }

  close(): void {
    this.#signal?.removeEventListener('abort', this.ring)
    this.ring()
  }

  /** Something is there to be looked at. */
  readonly ring = (): void => {
    this.#stop?.()
    this.#stop = undefined
    this.#rang = true
    this.#wake?.()
  }

  #listen(): void {
    this.#stop = this.#fileSystem.watch(this.#directory, this.ring)
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
