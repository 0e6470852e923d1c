// The fencing scenarios in a folder, and in a strict S3 whose conditional puts are all that keeps two writers apart.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { S3Server } from '../packages/archive/test/support/s3-server.ts'
import { fencingScenarios } from './support/fencing-scenarios.ts'

describe('in a folder', () => {
  it.each(fencingScenarios)('$title', async (scenario) => {
    await expect(scenario.run((folder) => join(folder, 'archive'))).resolves.toBeUndefined()
  })
})

describe('in S3', () => {
  let server: S3Server
  let number = 0

  beforeAll(async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key-of-test')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-test')
    server = await S3Server.start()
  })

  afterAll(async () => {
    await server.close()
    vi.unstubAllEnvs()
  })

  it.each(fencingScenarios)('$title', async (scenario) => {
    await scenario.run(() => server.url(`archive-${String(++number)}`))
    // Nobody's object was replaced on the way, not even by the same bytes.
    expect(server.overwriteCount).toBe(0)
  })
})
