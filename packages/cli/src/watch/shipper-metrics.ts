import type { ShipperEvent, ShipperStatus, StoreCounts } from '@timberline/archive'
import { Counter, Gauge, type OpenMetricsContentType, Registry } from 'prom-client'
import type { Health } from './health.ts'

/** What one archive looked like at one moment. */
export interface Sample {
  readonly archive: string
  readonly status: Pick<
    ShipperStatus,
    'archivedSegment' | 'durableLsn' | 'lagBytes' | 'lagTransactions' | 'shippedLsn'
  >
  readonly secondsBehind: number
  readonly health: Health
}

/** What an open archive tells beside its shipper. */
export interface ArchiveFacts {
  /** Requests made of its store. */
  readonly counts: Readonly<StoreCounts>
  /** When a recovery from it was last proved, microseconds since 1970. */
  readonly provedAtUs: number | undefined
  /** The home asks for a full backup. */
  readonly isBackupDue: boolean
}

/** Requests as stores bill them, by the calls of the port. */
const REQUESTS = {
  put: ['put'],
  get: ['get', 'getRange', 'getStream'],
  head: ['status'],
  list: ['list'],
  delete: ['delete'],
} as const satisfies Record<string, readonly (keyof StoreCounts)[]>

/** Name and meaning of each figure that is set; documented in docs/operations.md, which a test holds against this table. */
const GAUGES = {
  timberline_lag_seconds: 'Age of the oldest commit that the archive lacks',
  timberline_lag_transactions: 'Commits that are durable in the log and not in the archive',
  timberline_lag_bytes: 'Bytes of log that are durable and not in the archive',
  timberline_log_lsn: 'Last LSN durable in the log',
  timberline_archived_lsn: 'Last LSN that the archive holds without a hole',
  timberline_archived_segment: 'Last segment that the archive holds whole',
  timberline_last_success_seconds: 'When something last became durable in the archive, seconds since 1970',
  timberline_last_proved_seconds: 'When a drill last proved a recovery from the archive, seconds since 1970',
  timberline_backup_due: '1 while the home asks for a full backup, else 0',
  timberline_healthy: '1 while the lag is within the alarm and shipping goes on, else 0',
} as const

/** Name and meaning of each figure that only grows. */
const COUNTERS = {
  timberline_stored_bytes: 'Bytes put into the archive by this process',
  timberline_pieces: 'Pieces shipped by this process',
  timberline_segments: 'Whole segments archived by this process',
} as const

/** All names of figures, as they are exposed. */
export const METRIC_NAMES: readonly string[] = [
  ...Object.keys(GAUGES),
  ...Object.keys(COUNTERS).map((name) => `${name}_total`),
  'timberline_errors_total',
  'timberline_requests_total',
]

/** The figures of a process that ships, in OpenMetrics text. */
export class ShipperMetrics {
  readonly #registry = new Registry<OpenMetricsContentType>()
  readonly #gauges: ReadonlyMap<string, Gauge>
  readonly #counters: ReadonlyMap<string, Counter>
  readonly #errors: Counter
  readonly #requests: Counter
  /** What was counted of each archive's requests, by archive and kind. */
  readonly #counted = new Map<string, number>()

  constructor() {
    this.#registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
    const registers = [this.#registry]
    const labelNames = ['archive']
    this.#gauges = new Map(
      Object.entries(GAUGES).map(([name, help]) => [name, new Gauge({ name, help, labelNames, registers })]),
    )
    this.#counters = new Map(
      Object.entries(COUNTERS).map(([name, help]) => [
        name,
        new Counter({ name, help, labelNames, registers }),
      ]),
    )
    this.#errors = new Counter({
      name: 'timberline_errors',
      help: 'Failed tries, by code of the error',
      labelNames: ['archive', 'code'],
      registers,
    })
    this.#requests = new Counter({
      name: 'timberline_requests',
      help: 'Requests made of the store by this process, by kind',
      labelNames: ['archive', 'request'],
      registers,
    })
  }

  /** Takes over what an archive's store has answered so far, when it was last proved, and whether a full backup is due. */
  used(archive: string, { counts, provedAtUs, isBackupDue }: ArchiveFacts): void {
    for (const [request, calls] of Object.entries(REQUESTS)) {
      const count = calls.reduce((sum, call) => sum + counts[call], 0)
      const key = `${archive} ${request}`
      this.#requests.inc({ archive, request }, Math.max(0, count - (this.#counted.get(key) ?? 0)))
      this.#counted.set(key, count)
    }
    this.#set('timberline_backup_due', archive, isBackupDue ? 1 : 0)
    if (provedAtUs !== undefined) this.#set('timberline_last_proved_seconds', archive, provedAtUs / 1e6)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Counts what a shipper told. */
  note(archive: string, event: ShipperEvent, nowMs: number): void {
    if (event.type === 'piece.shipped' || event.type === 'segment.archived') {
      const count = event.type === 'piece.shipped' ? 'timberline_pieces' : 'timberline_segments'
      this.#counters.get(count)?.inc({ archive })
      this.#counters.get('timberline_stored_bytes')?.inc({ archive }, event.storedBytes)
      this.#set('timberline_last_success_seconds', archive, nowMs / 1000)
    }
    if (event.type === 'ship.retried') this.failed(archive, event.error.code)
  }

  /** Counts an error. */
  failed(archive: string, code: string): void {
    this.#errors.inc({ archive, code })
  }

  /** Takes a sample over. */
  sample({ archive, status, secondsBehind, health }: Sample): void {
    this.#set('timberline_lag_seconds', archive, secondsBehind)
    this.#set('timberline_lag_transactions', archive, status.lagTransactions)
    this.#set('timberline_lag_bytes', archive, status.lagBytes)
    this.#set('timberline_log_lsn', archive, status.durableLsn)
    this.#set('timberline_archived_lsn', archive, status.shippedLsn)
    this.#set('timberline_archived_segment', archive, status.archivedSegment)
    this.#set('timberline_healthy', archive, health === 'ok' ? 1 : 0)
  }

  /** All figures as text. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  #set(name: keyof typeof GAUGES, archive: string, value: number): void {
    this.#gauges.get(name)?.set({ archive }, value)
  }
}
