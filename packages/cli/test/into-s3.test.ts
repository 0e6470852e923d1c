/** Commands in processes of their own, on a strict S3 in this one: they say their own words and nothing of the AWS client's. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { S3Server } from '../../archive/test/support/s3-server.ts'
import { begin } from './terminal.ts'

let folder = ''
let server: S3Server

beforeEach(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key-of-test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-test')
  folder = await mkdtemp(join(tmpdir(), 'timberline-s3-'))
  server = await S3Server.start()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

test('a file goes into a bucket and comes out, and standard error stays empty', async () => {
  const [from, to] = [join(folder, 'segment'), join(folder, 'again')]
  await writeFile(from, 'wal of another system')
  const url = server.url('files')
  expect(await begin(['archive', 'push', '-a', url, from, 'segment']).ended).toMatchObject({
    code: 0,
    err: '',
  })
  expect(await begin(['archive', 'get', '-a', url, 'segment', to]).ended).toMatchObject({
    code: 0,
    err: '',
  })
  expect(await readFile(to, 'utf8')).toBe('wal of another system')
})
