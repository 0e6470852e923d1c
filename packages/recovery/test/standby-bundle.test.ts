/** Log that stands in a bundle, which grows under its readers: a standby and a recovery. */
import { join } from 'node:path'
import { memoryStore } from '@timberline/archive'
import { expect, test } from 'vitest'
import { recover } from '../src/index.ts'
import { elsewhere, isAt, scene, shipperOf } from './standby-scene.ts'

test('a standby follows a bundle part by part, and a recovery ends where it does', async () => {
  const { env, store, folder, open } = await scene(memoryStore('memory:', { grows: true }))
  const stop = new AbortController()
  const archive = await elsewhere({ store })
  const shipper = shipperOf(env, archive, stop.signal)
  const standby = await open()
  for (const lsn of [11, 12, 13]) {
    await env.writeMany(1)
    await shipper.flush()
    await standby.caughtUp(lsn)
    expect(await isAt(standby, env, lsn)).toBe(true)
  }
  expect((await archive.listPieces()).some(({ within }) => within !== undefined)).toBe(true)
  stop.abort()
  await shipper.done
  const recovered = await recover({ from: { archive }, home: join(folder, 'recovered') })
  expect(recovered.lsn).toBe(13)
})
