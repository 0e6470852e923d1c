// The S3 store against an engine that others wrote: the in-memory service of its own tests could share its errors.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3'
import { openStore, storeConformance } from '@timberline/archive'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { fencingScenarios } from '../support/fencing-scenarios.ts'
import { CephCluster, hasCeph } from './ceph-cluster.ts'

describe.skipIf(!hasCeph())('the S3 store on Ceph (needs its Debian packages)', () => {
  let cluster: CephCluster
  let number = 0
  const freshUrl = (bucket: string): string =>
    `s3://${bucket}/archive-${String(++number)}?endpoint=${cluster.endpoint}`
  const openFresh = (bucket: string): ReturnType<typeof openStore> => openStore(freshUrl(bucket))

  beforeAll(async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key-of-test')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-test')
    const user = { accessKey: 'key-of-test', secretKey: 'secret-of-test', firstPort: 17_300 }
    cluster = await CephCluster.start(mkdtempSync(join(tmpdir(), 'timberline-ceph-')), user)
    const client = new S3Client({ endpoint: cluster.endpoint, region: 'us-east-1', forcePathStyle: true })
    for (const Bucket of ['plain', 'versioned']) await client.send(new CreateBucketCommand({ Bucket }))
    const VersioningConfiguration = { Status: 'Enabled' } as const
    await client.send(new PutBucketVersioningCommand({ Bucket: 'versioned', VersioningConfiguration }))
    client.destroy()
  })

  afterAll(async () => {
    await cluster.destroy()
    vi.unstubAllEnvs()
  })

  it.each(storeConformance)('$title', async (check) => {
    await expect(check.run(openFresh('plain'))).resolves.toBeUndefined()
  })

  it('stores what is spooled, and knows it again', async () => {
    const content = Buffer.alloc(17 * 1024 * 1024, 'spooled ')
    const parts = {
      async *read(): AsyncGenerator<Uint8Array> {
        yield content
      },
    }
    const store = openFresh('plain')
    expect(await store.put('big', parts)).toBe('created')
    expect(await store.put('big', parts)).toBe('exists-same')
    expect((await store.get('big')).equals(content)).toBe(true)
  })

  it('is refused a bucket with versioning, where Ceph overwrites', async () => {
    const put = openFresh('versioned').put('x', Buffer.from('x'))
    await expect(put).rejects.toThrow(expect.objectContaining({ code: 'ARCHIVE_STORE_UNSAFE' }))
  })

  it.each(fencingScenarios)('keeps two writers apart: $title', async (scenario) => {
    await expect(scenario.run(() => freshUrl('plain'))).resolves.toBeUndefined()
  })
})
