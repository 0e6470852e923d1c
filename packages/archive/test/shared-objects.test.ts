import { describe, expect, it } from 'vitest'
import {
  type Archive,
  type ArchiveFinding,
  backupFileName,
  type BackupFile,
  finishRetention,
  memoryStore,
  openArchive,
  repairArchive,
  type RetentionDecision,
  verifyArchive,
  type VerifyProgress,
} from '../src/index.ts'
import { archiveOn, IDENTITY } from './support/archive-scene.ts'

const [FULL, NEXT, LAST] = ['20261101-000000F', '20261102-000000I', '20261103-000000I'] as const

async function put(archive: Archive, label: string, name: string): Promise<BackupFile> {
  const object = backupFileName(label, name)
  const { bytes, sha256 } = await archive.putObject(object, Buffer.from(`${name} of ${label}`))
  return { name, bytes, sha256, object }
}

async function add(archive: Archive, label: string, files: readonly BackupFile[]): Promise<void> {
  const day = Number(label.slice(6, 8))
  await archive.addBackup({
    format: 1,
    label,
    environmentId: IDENTITY.environmentId,
    timeline: 1,
    kind: label.endsWith('F') ? 'full' : 'incremental',
    checkpoint: {
      lsn: day,
      committedAtUs: day,
      segmentNumber: 1,
      manifestName: 'MANIFEST-000004',
      manifestBase64: 'YWJj',
      current: 'MANIFEST-000004\n',
    },
    beginLsn: day + 1,
    endLsn: day + 2,
    endCommittedAtUs: day + 2,
    files,
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'test',
  })
}

/** A full backup of two tables; the next names one of them, the last one that too, and one of the next. */
async function scene(store = memoryStore()) {
  const archive = await archiveOn(store)
  await archive.beginTimeline({})
  const shared = await put(archive, FULL, 'checkpoint/tables/000005.ldb')
  await add(archive, FULL, [shared, await put(archive, FULL, 'checkpoint/tables/000006.ldb')])
  const ofNext = await put(archive, NEXT, 'checkpoint/tables/000007.ldb')
  await add(archive, NEXT, [shared, ofNext])
  await add(archive, LAST, [shared, ofNext, await put(archive, LAST, 'checkpoint/tables/000008.ldb')])
  return { archive, store, shared, sharedName: shared.object ?? '' }
}

const failing = (code: string): unknown => expect.objectContaining({ code })

const letGo = (...backups: string[]): { type: 'retention.decided'; decision: RetentionDecision } => ({
  type: 'retention.decided',
  decision: { backups, segments: [], timelines: [] },
})

async function findingsOf(archive: Archive): Promise<ArchiveFinding[]> {
  const found: ArchiveFinding[] = []
  for await (const finding of verifyArchive(archive, { strays: true })) found.push(finding)
  return found
}

const labelsOf = (findings: readonly ArchiveFinding[]): string[] =>
  findings.map(
    ({ name, subject }) => `${name} ${subject?.type === 'backup-file' ? subject.backup.label : ''}`,
  )

describe('a backup that names objects of others', () => {
  it('is entered with the labels of those, each once, whatever its manifest says of itself', async () => {
    const { archive } = await scene()
    const { backups } = await archive.catalogue()
    expect(backups.map(({ references }) => references)).toEqual([undefined, [FULL], [FULL, NEXT]])
    expect(await findingsOf(archive)).toEqual([])
  })

  it('is refused when one of those is not there', async () => {
    const { archive, shared } = await scene()
    const object = shared.object?.replace(FULL, '20261031-000000F')
    await expect(add(archive, '20261104-000000I', [{ ...shared, object }])).rejects.toEqual(
      failing('ARCHIVE_CONFLICT'),
    )
    expect((await archive.catalogue()).backups).toHaveLength(3)
  })

  it('keeps those from being let go before it, and lets them go with it or after it', async () => {
    const { archive, store, sharedName } = await scene()
    for (const labels of [[FULL], [NEXT], [FULL, NEXT], [FULL, LAST]]) {
      await expect(archive.appendEvent(letGo(...labels)), labels.join()).rejects.toEqual(
        failing('ARCHIVE_CONFLICT'),
      )
    }
    await archive.appendEvent(letGo(LAST))
    await finishRetention(archive)
    expect(await store.status(sharedName)).toBeDefined()
    expect(await findingsOf(archive)).toEqual([])
    await archive.appendEvent(letGo(FULL, NEXT))
    await finishRetention(archive)
    expect(await store.status(sharedName)).toBeUndefined()
    expect(await findingsOf(archive)).toEqual([])
  })

  it('cannot name what retention has let go meanwhile, nor what is older than its readers’ keys', async () => {
    const { archive, shared } = await scene()
    await archive.appendEvent(letGo(LAST, NEXT, FULL))
    await expect(add(archive, '20261104-000000I', [shared])).rejects.toEqual(failing('ARCHIVE_CONFLICT'))
    const other = await scene()
    await other.archive.setRecipients([await other.archive.addProtectedIdentity('correct horse')])
    expect(await other.archive.backupBase()).toBeUndefined()
    await expect(add(other.archive, '20261104-000000I', [other.shared])).rejects.toEqual(
      failing('ARCHIVE_CONFLICT'),
    )
  })

  it('finds as its base the newest backup, with what is there of all that it names', async () => {
    const { archive, store, sharedName } = await scene()
    const base = await archive.backupBase()
    expect(base?.manifest.label).toBe(LAST)
    for (const { object = '' } of base?.manifest.files ?? []) expect(base?.objects.has(object)).toBe(true)
    await store.delete(sharedName)
    expect((await archive.backupBase())?.objects.has(sharedName)).toBe(false)
  })
})

describe('damage of a shared object', () => {
  it('is found by one reading, and is a finding of each backup that names it', async () => {
    const { archive, store, sharedName } = await scene()
    const content = await store.get(sharedName)
    await store.delete(sharedName)
    await store.put(sharedName, content.subarray(0, -1))
    const found = await findingsOf(archive)
    expect(found.map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => 'ARCHIVE_OBJECT_DAMAGED'))
    expect(labelsOf(found)).toEqual([FULL, NEXT, LAST].map((label) => `${sharedName} ${label}`))
    expect(found[1]?.message).toContain(`backup ${NEXT} names it too`)
    let seen: VerifyProgress | undefined
    for await (const _ of verifyArchive(archive, { onProgress: (now) => (seen = now) })) void _
    expect(seen).toMatchObject({ objectsKnown: 4, objectsRead: 4 })
  })

  it('is named for each of them when the object is gone', async () => {
    const { archive, store, sharedName } = await scene()
    await store.delete(sharedName)
    const found = await findingsOf(archive)
    expect(found.map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => 'ARCHIVE_OBJECT_MISSING'))
    expect(labelsOf(found)).toEqual([FULL, NEXT, LAST].map((label) => `${sharedName} ${label}`))
  })

  it('is not what a backup suffers from that expects other content under the name', async () => {
    const { archive, shared, sharedName } = await scene()
    await add(archive, '20261104-000000I', [{ ...shared, sha256: 'f'.repeat(64) }])
    expect(labelsOf(await findingsOf(archive))).toEqual([`${sharedName} 20261104-000000I`])
  })

  it('is mended once, for all of them', async () => {
    const { archive, store, sharedName } = await scene()
    const copy = memoryStore()
    for await (const { name } of store.list('')) await copy.put(name, await store.get(name))
    await store.delete(sharedName)
    const steps: string[] = []
    const options = { archive, from: [await openArchive(copy)], apply: true }
    for await (const { name, outcome } of repairArchive(options)) steps.push(`${name} ${outcome}`)
    expect(steps).toEqual([`${sharedName} repaired`])
    expect(await findingsOf(archive)).toEqual([])
  })
})
