import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createArchive, memoryStore } from '@timberline/archive'
import type { Archive } from '@timberline/archive'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bisect, type BisectStep } from '../src/index.ts'
import { backupInto, Environment, ship } from './environment.ts'

let folder = ''
let archive: Archive

/** Twenty transactions in an archive, with backups at 4 and at 13. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-bisect-'))
  const env = await Environment.create(join(folder, 'home'))
  archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(4)
  await backupInto(env, archive, { label: 'b1' })
  await env.writeMany(9)
  await backupInto(env, archive, { label: 'b2' })
  await env.writeMany(7)
  await ship(env, archive)
  await env.close()
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** A check that passes as long as a state ends before a record. */
const passesBefore = (lsn: number): string =>
  `test -d "$TIMBERLINE_HOME" && test "$TIMBERLINE_LSN" -lt ${String(lsn)}`

describe('the first bad transaction', () => {
  test.each([5, 13, 20])('is found: %i', async (lsn) => {
    const steps: BisectStep[] = []
    const report = await bisect({
      archive,
      goodLsn: 4,
      check: passesBefore(lsn),
      scratch: join(folder, 'scratch'),
      onStep: (step) => steps.push(step),
    })
    expect(report).toMatchObject({ timeline: 1, firstBad: { lsn, kind: 'entry' }, steps })
    expect(steps.slice(0, 2).map((step) => [step.lsn, step.isGood])).toEqual([
      [4, true],
      [20, false],
    ])
    expect(steps.length).toBeLessThanOrEqual(6)
    expect(await readdir(join(folder, 'scratch'))).toEqual([])
  })

  test('is looked for up to the bad end that was named', async () => {
    const check = passesBefore(9)
    const { firstBad, steps } = await bisect({ archive, timeline: 1, goodLsn: 8, badLsn: 9, check })
    expect(firstBad.lsn).toBe(9)
    expect(steps.map(({ lsn }) => lsn)).toEqual([8, 9])
  })

  test('is not looked for between ends that are not good and bad, in this order', async () => {
    const ends = { code: 'RECOVERY_BISECT_ENDS' }
    await expect(bisect({ archive, goodLsn: 8, check: passesBefore(5) })).rejects.toMatchObject(ends)
    await expect(bisect({ archive, goodLsn: 8, check: 'true' })).rejects.toMatchObject(ends)
    const turned = bisect({ archive, goodLsn: 8, badLsn: 6, check: passesBefore(9) })
    await expect(turned).rejects.toMatchObject(ends)
    await expect(bisect({ archive, goodLsn: 99, check: 'true' })).rejects.toMatchObject({
      code: 'RECOVERY_TARGET_AFTER_END',
    })
  })

  test('is not judged by a check that did not run, or was ended', async () => {
    const noVerdict = { code: 'RECOVERY_BISECT_CHECK' }
    for (const check of ['exit 127', 'exit 126', 'kill -9 $$']) {
      await expect(bisect({ archive, goodLsn: 4, check }), check).rejects.toMatchObject(noVerdict)
    }
    const slow = bisect({ archive, goodLsn: 4, check: 'exec sleep 60', checkTimeoutMs: 20 })
    await expect(slow).rejects.toMatchObject(noVerdict)
  })

  test('leaves nothing in the archive, and can be stopped', async () => {
    const before = (await archive.catalogue()).sequence
    const abort = new AbortController()
    const stopped = bisect({
      archive,
      goodLsn: 4,
      check: passesBefore(9),
      signal: abort.signal,
      onStep: () => abort.abort(),
    })
    await expect(stopped).rejects.toMatchObject({ code: 'RECOVERY_ABORTED' })
    expect((await archive.catalogue()).sequence).toBe(before)
  })
})
