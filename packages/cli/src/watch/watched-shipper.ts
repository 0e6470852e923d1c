import type { Shipper } from '@timberline/archive'
import { TimberlineError } from '@timberline/wal'
import type { Change } from './change-hook.ts'
import { type Health, judge } from './health.ts'
import { LagGauge } from './lag-gauge.ts'
import type { ArchiveFacts, ShipperMetrics } from './shipper-metrics.ts'

/** The part of a shipper that is looked at, and the archive that it ships into, once that is open. */
export interface Watchable extends Pick<Shipper, 'events$' | 'status'> {
  archive?(): ArchiveFacts | undefined
}

/** One archive's shipper: its lag, its health, and what changed since the last look. */
export class WatchedShipper {
  readonly archive: string
  readonly #shipper: Watchable
  readonly #metrics: ShipperMetrics
  readonly #subscription: { unsubscribe(): void }
  readonly #gauge = new LagGauge()
  #health: Health = 'ok'
  #code: string | undefined

  constructor(archive: string, shipper: Watchable, metrics: ShipperMetrics) {
    this.archive = archive
    this.#shipper = shipper
    this.#metrics = metrics
    this.#subscription = shipper.events$.subscribe((event) => {
      if (event.type === 'ship.retried') this.#code = event.error.code
      metrics.note(archive, event, Date.now())
    })
  }

  get health(): Health {
    return this.#health
  }

  /** Takes one look; `nowMs` is of a clock that does not go back. Returns a change of health. */
  look(nowMs: number, alarmSeconds: number): Change | undefined {
    const status = this.#shipper.status()
    const { archive } = this
    this.#gauge.note(status, nowMs)
    const secondsBehind = this.#gauge.secondsBehind(nowMs)
    const hasFailed = status.state === 'failed'
    if (hasFailed && this.#health !== 'failed') this.#count(status.error)
    const health = judge({ secondsBehind, alarmSeconds, hasFailed })
    this.#metrics.sample({ archive, status, secondsBehind, health })
    const facts = this.#shipper.archive?.()
    if (facts !== undefined) this.#metrics.used(archive, facts)
    if (health === this.#health) return undefined
    const from = this.#health
    this.#health = health
    return { archive, from, to: health, secondsBehind, code: health === 'ok' ? undefined : this.#code }
  }

  end(): void {
    this.#subscription.unsubscribe()
  }

  #count(error: unknown): void {
    this.#code = error instanceof TimberlineError ? error.code : 'UNKNOWN'
    this.#metrics.failed(this.archive, this.#code)
  }
}
