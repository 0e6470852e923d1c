// Health by lag, figures in OpenMetrics text, and the user's command. Clocks are given, so that nothing here waits for one.
import { readFile, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ShipperEvent, ShipperStatus } from '@timberline/archive'
import { TimberlineError } from '@timberline/wal'
import { Subject } from 'rxjs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LagGauge } from '../src/watch/lag-gauge.ts'
import { type ArchiveFacts, METRIC_NAMES } from '../src/watch/shipper-metrics.ts'
import { watchShippers, type WatchOptions } from '../src/watch/shipper-watch.ts'

const running: ShipperStatus = {
  state: 'running',
  epoch: 1,
  archivedSegment: 2,
  shippedLsn: 100,
  durableLsn: 100,
  lagTransactions: 0,
  lagBytes: 0,
  uploadingSegment: undefined,
  failing: [],
  error: undefined,
}

class Pretended {
  readonly events = new Subject<ShipperEvent>()
  readonly events$ = this.events.asObservable()
  now: ShipperStatus = running
  facts: ArchiveFacts = {
    counts: {
      put: 2,
      get: 3,
      getRange: 1,
      getStream: 1,
      status: 4,
      list: 1,
      delete: 0,
      putBytes: 0,
      getBytes: 0,
    },
    provedAtUs: 1_700_000_000_000_000,
    isBackupDue: true,
  }
  status(): ShipperStatus {
    return this.now
  }

  archive(): ArchiveFacts {
    return this.facts
  }

  behind(durableLsn: number): void {
    const lag = durableLsn - this.now.shippedLsn
    this.now = { ...this.now, durableLsn, lagTransactions: lag, lagBytes: lag * 10 }
  }
}

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'timberline-watch-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function watching(options: Partial<WatchOptions> = {}) {
  const shipper = new Pretended()
  const told: string[] = []
  const watch = await watchShippers(new Map([['nas', shipper]]), {
    alarmSeconds: 60,
    warn: (line) => told.push(line),
    ...options,
  })
  onTestFinished(() => watch.close())
  // Far ahead of the process's own clock: looks of the timer, should one come, are in the past of all of these.
  const begin = performance.now() + 3_600_000
  return { shipper, told, watch, look: (second: number) => watch.look(begin + second * 1000) }
}

describe('the lag in seconds', () => {
  test('is the age of the oldest durable record that the archive lacks', () => {
    const gauge = new LagGauge()
    gauge.note({ durableLsn: 10, shippedLsn: 10 }, 0)
    expect(gauge.secondsBehind(5000)).toBe(0)
    gauge.note({ durableLsn: 12, shippedLsn: 10 }, 6000)
    gauge.note({ durableLsn: 20, shippedLsn: 10 }, 9000)
    expect(gauge.secondsBehind(10_000)).toBe(4)
    gauge.note({ durableLsn: 20, shippedLsn: 12 }, 10_000)
    expect(gauge.secondsBehind(10_000)).toBe(1)
    gauge.note({ durableLsn: 20, shippedLsn: 20 }, 11_000)
    expect(gauge.secondsBehind(99_000)).toBe(0)
  })

  test('stays small while the archive follows a log that never rests', () => {
    const gauge = new LagGauge()
    for (let second = 0; second < 5000; second++) {
      gauge.note({ durableLsn: second * 100 + 100, shippedLsn: second * 100 }, second * 1000)
      expect(gauge.secondsBehind(second * 1000)).toBeLessThanOrEqual(1)
    }
  })

  test('is right to the end of an outage of any length, in bounded memory', () => {
    const gauge = new LagGauge()
    for (let second = 0; second <= 100_000; second++) {
      gauge.note({ durableLsn: second + 1, shippedLsn: 0 }, second * 1000)
    }
    expect(gauge.secondsBehind(100_000_000)).toBe(100_000)
    gauge.note({ durableLsn: 100_001, shippedLsn: 50_000 }, 100_000_000)
    const behind = gauge.secondsBehind(100_000_000)
    // Never younger than the truth.
    expect(behind).toBeGreaterThanOrEqual(50_000)
    expect(behind).toBeLessThan(52_000)
  })
})

describe('health', () => {
  test('is lost by lag alone, though nothing failed, and comes back with the archive', async () => {
    const { shipper, told, look } = await watching()
    look(0)
    shipper.behind(103)
    look(1)
    look(60)
    expect(told).toEqual([])
    look(62)
    expect(told).toEqual(['nas is late: the oldest commit that it lacks is 61.0 s old'])
    look(63)
    shipper.now = { ...running, shippedLsn: 103, durableLsn: 103 }
    look(64)
    expect(told).toEqual([expect.anything(), 'nas is ok: the oldest commit that it lacks is 0.0 s old'])
  })

  test('is lost for good when shipping ends with an error', async () => {
    const { shipper, told, watch, look } = await watching({ port: 0 })
    const error = new TimberlineError('x', { code: 'ARCHIVE_FENCED', kind: 'conflict' })
    shipper.now = { ...running, state: 'failed', error }
    look(1)
    look(2)
    expect(told).toHaveLength(1)
    const text = await (await fetch(watch.url ?? '')).text()
    expect(text).toContain('timberline_errors_total{archive="nas",code="ARCHIVE_FENCED"} 1')
    expect(text).toContain('timberline_healthy{archive="nas"} 0')
  })

  test('a change runs the command, told what changed, one after the other', async () => {
    const folder = await scratch()
    const out = join(folder, 'changes')
    const onChange = `echo "$TIMBERLINE_ARCHIVE $TIMBERLINE_FROM $TIMBERLINE_TO $TIMBERLINE_LAG_SECONDS" >> ${out}`
    const { shipper, watch, look } = await watching({ onChange })
    shipper.behind(101)
    look(0)
    look(90)
    shipper.now = { ...running, shippedLsn: 101, durableLsn: 101 }
    look(91)
    await watch.close()
    expect(await readFile(out, 'utf8')).toBe('nas ok late 90.0\nnas late ok 0.0\n')
  })

  test('a command that fails is told, and holds nothing up', async () => {
    const { shipper, told, watch, look } = await watching({ onChange: 'exit 3' })
    shipper.behind(101)
    look(0)
    look(90)
    await watch.close()
    expect(told.at(-1)).toContain('exit code 3')
  })
})

describe('figures', () => {
  test('are served on loopback as OpenMetrics, every one of them', async () => {
    const { shipper, watch, look } = await watching({ port: 0 })
    const place = { segmentNumber: 3, position: 0, endPosition: 10, lsn: 101 }
    shipper.events.next({ type: 'piece.shipped', ...place, storedBytes: 400, durationMs: 1 })
    const whole = { segmentNumber: 2, lsn: 90, bytes: 9000, storedBytes: 500, durationMs: 1 }
    shipper.events.next({ type: 'segment.archived', ...whole })
    const error = new TimberlineError('x', { code: 'ARCHIVE_STORE_FAILED', kind: 'unavailable' })
    shipper.events.next({ type: 'ship.retried', work: 'piece', tries: 1, delayMs: 1, error })
    shipper.behind(107)
    look(0)
    look(5)
    const response = await fetch(watch.url ?? '')
    expect(response.headers.get('content-type')).toContain('application/openmetrics-text')
    const text = await response.text()
    for (const name of METRIC_NAMES) expect(text).toContain(`\n${name}{archive="nas"`)
    expect(text).toContain('timberline_stored_bytes_total{archive="nas"} 900')
    expect(text).toContain('timberline_lag_seconds{archive="nas"} 5')
    expect(text).toContain('timberline_lag_transactions{archive="nas"} 7')
    expect(text).toContain('timberline_errors_total{archive="nas",code="ARCHIVE_STORE_FAILED"} 1')
    expect(text).toContain('timberline_last_proved_seconds{archive="nas"} 1700000000')
    expect(text).toContain('timberline_backup_due{archive="nas"} 1')
    expect(text).toContain('timberline_requests_total{archive="nas",request="get"} 5')
    expect(text).toContain('timberline_requests_total{archive="nas",request="head"} 4')
    expect(text.endsWith('# EOF\n')).toBe(true)
    expect((await fetch(new URL('/other', watch.url))).status).toBe(404)
    await watch.close()
    await expect(fetch(watch.url ?? '')).rejects.toThrow('fetch failed')
  })

  test('are in the file whole, also at the end', async () => {
    const file = join(await scratch(), 'timberline.prom')
    const { shipper, watch } = await watching({ file })
    shipper.now = { ...running, shippedLsn: 250, durableLsn: 250 }
    await watch.close()
    const text = await readFile(file, 'utf8')
    expect(text).toContain('timberline_archived_lsn{archive="nas"} 250')
    expect(text.endsWith('# EOF\n')).toBe(true)
  })

  test('whose file cannot be written are told, and nothing else ends', async () => {
    const { told, watch } = await watching({ file: join(await scratch(), 'none', 'there', 'x.prom') })
    await watch.close()
    expect(told.at(-1)).toContain('the file of metrics cannot be written')
  })

  test('on a port that is taken are refused by name', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    await expect(watching({ port })).rejects.toMatchObject({ code: 'CLI_METRICS_UNAVAILABLE' })
  })

  test('are all explained in the operations manual', async () => {
    const manual = await readFile(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
    expect(METRIC_NAMES.filter((name) => !manual.includes(`\`${name}\``))).toEqual([])
  })
})
