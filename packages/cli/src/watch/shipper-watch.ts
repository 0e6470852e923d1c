// Looks at running shippers once a second, keeps their figures, and tells when the health of one changes.
import { nodeFileSystem, writeFileAtomic } from '@timberline/wal'
import { type Change, runHook } from './change-hook.ts'
import { type MetricsEndpoint, serveMetrics } from './metrics-endpoint.ts'
import { ShipperMetrics } from './shipper-metrics.ts'
import { type Watchable, WatchedShipper } from './watched-shipper.ts'

/** What to watch for, and where figures go. */
export interface WatchOptions {
  /** Lag beyond which an archive is late, in seconds. */
  readonly alarmSeconds: number
  /** Loopback port for a collector. */
  readonly port?: number | undefined
  /** File that is replaced every ten seconds, for a collector of text files. */
  readonly file?: string | undefined
  /** Shell command to run when the health of an archive changes. */
  readonly onChange?: string | undefined
  /** Tells the user. */
  readonly warn: (line: string) => void
}

const LOOK_MS = 1000
const FILE_MS = 10_000

/** Begins to watch shippers, by the names of their archives. @throws CLI_METRICS_UNAVAILABLE */
export async function watchShippers(
  shippers: ReadonlyMap<string, Watchable>,
  options: WatchOptions,
): Promise<ShipperWatch> {
  const metrics = new ShipperMetrics()
  const endpoint = options.port === undefined ? undefined : await serveMetrics(metrics, options.port)
  const watched = [...shippers].map(([archive, shipper]) => new WatchedShipper(archive, shipper, metrics))
  return new ShipperWatch({ watched, options, metrics, endpoint })
}

/** A watch over the shippers of one process; ends with `close`. */
export class ShipperWatch {
  readonly #watched: readonly WatchedShipper[]
  readonly #options: WatchOptions
  readonly #metrics: ShipperMetrics
  readonly #endpoint: MetricsEndpoint | undefined
  readonly #timer: NodeJS.Timeout
  #hook: Promise<void> = Promise.resolve()
  #writing: Promise<void> = Promise.resolve()
  #writtenAtMs = -Infinity

  constructor(parts: {
    readonly watched: readonly WatchedShipper[]
    readonly options: WatchOptions
    readonly metrics: ShipperMetrics
    readonly endpoint: MetricsEndpoint | undefined
  }) {
    this.#watched = parts.watched
    this.#options = parts.options
    this.#metrics = parts.metrics
    this.#endpoint = parts.endpoint
    this.#timer = setInterval(() => this.look(performance.now()), LOOK_MS)
    this.#timer.unref()
    this.look(performance.now())
  }

  /** Where figures are served. */
  get url(): string | undefined {
    return this.#endpoint?.url
  }

  /** Takes one look; `nowMs` is of a clock that does not go back. */
  look(nowMs: number): void {
    for (const shipper of this.#watched) {
      const change = shipper.look(nowMs, this.#options.alarmSeconds)
      if (change !== undefined) this.#tell(change)
    }
    if (nowMs - this.#writtenAtMs < FILE_MS) return
    this.#writtenAtMs = nowMs
    this.#writeFile()
  }

  /** A last look, the last figures into the file, and the end of a command under way. Safe to call twice. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.look(performance.now())
    for (const shipper of this.#watched) shipper.end()
    this.#writeFile()
    await Promise.all([this.#writing, this.#hook, this.#endpoint?.close()])
  }

  #tell(change: Change): void {
    const { onChange, warn } = this.#options
    const { archive, to, secondsBehind } = change
    warn(`${archive} is ${to}: the oldest commit that it lacks is ${secondsBehind.toFixed(1)} s old`)
    if (onChange === undefined) return
    // One after the other, so that the user hears of changes in their order.
    this.#hook = this.#hook.then(async () => {
      const problem = await runHook(onChange, change)
      if (problem !== undefined) warn(`the command for changes of health failed: ${problem}`)
    })
  }

  #writeFile(): void {
    const { file, warn } = this.#options
    if (file === undefined) return
    this.#writing = this.#writing.then(async () => {
      try {
        await writeFileAtomic(file, Buffer.from(await this.#metrics.text()), nodeFileSystem)
      } catch (error) {
        // A full disk for figures must not end what the figures are about.
        warn(
          `the file of metrics cannot be written: ${error instanceof Error ? error.message : String(error)}`,
        )
      }
    })
  }
}
