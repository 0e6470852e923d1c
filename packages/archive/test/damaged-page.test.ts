import { expect, it } from 'vitest'
import { memoryStore, openArchive, repairArchive, type RepairStep, verifyArchive } from '../src/index.ts'
import { archiveOn } from './support/archive-scene.ts'
import { namesOf } from './support/finished-archive.ts'

it('a damaged page of the journal is removed by a repair, which needs no source for it', async () => {
  const store = memoryStore()
  const archive = await archiveOn(store)
  for (let instantsUs = 1; instantsUs <= 140; instantsUs++) {
    await archive.appendEvent({ type: 'promise.made', promise: { instantsUs, bases: [] } })
  }
  const [page = ''] = (await namesOf(store)).filter((name) => name.startsWith('page/'))
  const bytes = await store.get(page)
  await store.delete(page)
  await store.put(page, bytes.subarray(0, bytes.length - 5))
  const repaired = async (apply: boolean): Promise<RepairStep[]> => {
    const steps: RepairStep[] = []
    for await (const step of repairArchive({ archive: await openArchive(store), apply })) steps.push(step)
    return steps
  }
  expect(await repaired(false)).toMatchObject([{ name: page, outcome: 'repairable' }])
  expect(await namesOf(store)).toContain(page)
  expect(await repaired(true)).toMatchObject([{ name: page, outcome: 'repaired' }])
  expect(await namesOf(store)).not.toContain(page)
  const again = await openArchive(store)
  for await (const finding of verifyArchive(again)) expect(finding).toBeUndefined()
  expect((await again.catalogue()).promise).toMatchObject({ instantsUs: 140 })
})
