/**
 * A shipper and single uploads into a real S3 service that fails. Fault model: the gateway is killed at any moment and comes back with
 * what it acknowledged; a request is refused, cut before, in the middle of or after its effect, its answer is cut, or it is slow.
 * Expected: what was acknowledged is there, nothing is there twice or in half, the backlog goes as soon as the service lets it,
 * without anybody's help, and a restore from the archive is the live home by digest.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { createArchive, openStore, runShipper, verifyArchive } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { verifyAgainst } from '@timberline/recovery'
import { seededRandom } from '@timberline/wal/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { CephCluster, hasCeph } from './ceph-cluster.ts'
import { FAULTS, FaultProxy } from './fault-proxy.ts'

const SEED = Number(process.env['SEED'] ?? 1)
const MEBIBYTE = 1024 * 1024
const ROUND_COUNT = 4
const ROUND_PUTS = 40

describe.skipIf(!hasCeph())('into Ceph that fails (needs its Debian packages)', () => {
  let cluster: CephCluster
  let proxy: FaultProxy
  let number = 0
  const freshUrl = (): string => `s3://plain/archive-${String(++number)}?endpoint=${proxy.endpoint}`

  beforeAll(async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key-of-test')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-test')
    // Each fault is met by the store and the shipper, not mended by the SDK.
    vi.stubEnv('AWS_MAX_ATTEMPTS', '1')
    const user = { accessKey: 'key-of-test', secretKey: 'secret-of-test', firstPort: 17_600 }
    cluster = await CephCluster.start(mkdtempSync(join(tmpdir(), 'timberline-ceph-')), user)
    proxy = await FaultProxy.start(cluster.endpoint)
    const client = new S3Client({ endpoint: cluster.endpoint, region: 'us-east-1', forcePathStyle: true })
    await client.send(new CreateBucketCommand({ Bucket: 'plain' }))
    client.destroy()
  })

  afterEach(() => {
    proxy.plan = () => undefined
    proxy.onSent = () => undefined
    proxy.counts.clear()
  })

  afterAll(async () => {
    await proxy.close()
    await cluster.destroy()
    vi.unstubAllEnvs()
  })

  it('has nothing of an upload whose gateway was killed in the middle, and all of it after another try', async () => {
    const store = openStore(freshUrl())
    await store.put('before', Buffer.from('acknowledged'))
    const content = Buffer.alloc(24 * MEBIBYTE, 'a large object, spooled ')
    const parts = {
      async *read(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < content.length; at += MEBIBYTE) yield content.subarray(at, at + MEBIBYTE)
      },
    }
    let death: Promise<void> | undefined
    proxy.onSent = ({ bytes }, sent) => {
      if (bytes === content.length && sent > bytes / 2) death ??= cluster.killGateway()
    }
    const refused = expect.objectContaining({ code: 'ARCHIVE_STORE_FAILED' })
    await expect(store.put('large', parts)).rejects.toThrow(refused)
    await death
    expect(death).toBeDefined()
    await expect(store.status('large')).rejects.toThrow(refused)
    await cluster.startGateway()
    expect(await store.status('large')).toBeUndefined()
    expect(await store.get('before')).toEqual(Buffer.from('acknowledged'))
    expect(await store.put('large', parts)).toBe('created')
    expect((await store.get('large')).equals(content)).toBe(true)
  })

  it('goes on with a reading where its answer was cut', async () => {
    const store = openStore(freshUrl())
    const content = Buffer.from(Array.from({ length: 3 * MEBIBYTE }, (_, index) => index % 251))
    await store.put('x', content)
    let cuts = 3
    proxy.plan = ({ method }) => (method === 'GET' && cuts-- > 0 ? 'half-reply' : undefined)
    const chunks: Buffer[] = []
    for await (const chunk of store.getStream('x')) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(content)).toBe(true)
    expect([proxy.counts.get('half-reply'), cuts]).toEqual([3, -1])
  })

  it(`loses and doubles nothing while every fourth request meets a fault (SEED=${String(SEED)})`, async () => {
    const scene = await begin(freshUrl())
    const random = seededRandom(SEED)
    let next = 0
    proxy.plan = () => (random.chance(1 / 4) ? FAULTS[next++ % FAULTS.length] : undefined)
    const { shipper, write } = await scene.ship()
    for (let round = 1; round <= ROUND_COUNT; round++) {
      await write(ROUND_PUTS)
      if (round % 2 === 0) await scene.db.switchSegment()
      await shipper.flush()
      // All that was written before is there, though the faults go on.
      expect(shipper.status().lagTransactions).toBe(0)
    }
    await shipper.flushWhole()
    console.log('met', Object.fromEntries(proxy.counts))
    for (const fault of FAULTS) expect(proxy.counts.get(fault), fault).toBeGreaterThan(0)
    proxy.plan = () => undefined
    await scene.compare()
  })

  it('goes on by itself when its gateway is killed under its uploads and comes back', async () => {
    const scene = await begin(freshUrl())
    const { shipper, write } = await scene.ship()
    for (const kind of ['piece/', 'segment/']) {
      const deaths: Promise<void>[] = []
      proxy.onSent = ({ method, path }) => {
        if (method === 'PUT' && path.includes(`/${kind}`)) deaths.push(cluster.killGateway())
      }
      await write(ROUND_PUTS)
      if (kind === 'segment/') await scene.db.switchSegment()
      await vi.waitUntil(() => deaths.length > 0, { timeout: 20_000 })
      await Promise.all(deaths)
      // The home is written on meanwhile: the backlog is what it writes, with the record that it began with, and no more.
      await write(ROUND_PUTS)
      await vi.waitUntil(() => shipper.status().state === 'retrying', { timeout: 20_000 })
      expect(shipper.status().lagTransactions).toBeLessThanOrEqual(2 * ROUND_PUTS + 1)
      proxy.onSent = () => undefined
      await cluster.startGateway()
      await shipper.flush()
      await vi.waitUntil(() => shipper.status().state === 'running', { timeout: 20_000 })
      expect(shipper.status()).toMatchObject({ lagTransactions: 0, failing: [] })
    }
    await shipper.flushWhole()
    await scene.compare()
  })
})

interface Scene {
  readonly db: TimberLevel
  ship(): Promise<{ shipper: ReturnType<typeof runShipper>; write: (count: number) => Promise<void> }>
  /** Nothing is wrong with the archive, nothing in it is nobody's, and a restore from it is the home. */
  compare(): Promise<void>
}

/** An open home with a backup of it in a new archive. */
async function begin(url: string): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'timberline-faults-'))
  const home = join(folder, 'home')
  const db = new TimberLevel(home)
  await db.open()
  const identity = await readHomeIdentity(home)
  const archive = await createArchive(openStore(url), identity)
  await hotbackup({ home, target: { archive } })
  const stop = new AbortController()
  let shipper: ReturnType<typeof runShipper> | undefined
  onTestFinished(async () => {
    stop.abort()
    await shipper?.done
    await archive.close()
    await db.close()
    rmSync(folder, { recursive: true, force: true })
  })
  let written = 0
  return {
    db,
    async ship() {
      const { logDirectory } = homeLayout(home)
      shipper = runShipper({
        archive,
        logDirectory,
        name: 's3',
        identity,
        intervalMs: 100,
        retryMs: { first: 20, max: 200 },
        signal: stop.signal,
      })
      const write = async (count: number): Promise<void> => {
        for (let index = 0; index < count; index++) {
          await db.put(`key/${String(written++ % 97)}`, `value ${String(written)} `.repeat(20))
        }
      }
      return { shipper, write }
    },
    async compare() {
      const report = await verifyAgainst({ archive, home, scratch: folder })
      expect(report).toMatchObject({ equal: true })
      expect(report.records).toBeGreaterThan(0)
      const findings: unknown[] = []
      for await (const finding of verifyArchive(archive, { strays: true })) findings.push(finding)
      expect(findings).toEqual([])
    },
  }
}
