// Encrypted objects of one content never have equal bytes, and tell nothing without a key: repair goes by what they hold.
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { expect, it } from 'vitest'
import {
  type Archive,
  type ArchiveStore,
  openArchive,
  repairArchive,
  type RepairStep,
  verifyArchive,
} from '../src/index.ts'
import { copyOf, finishedArchive, namesOf } from './support/finished-archive.ts'

/** Puts everything again, encrypted, as a copy made for another place would be. */
async function encryptedCopy(
  store: ArchiveStore,
  recipients: readonly string[],
  identities: readonly string[],
): Promise<ArchiveStore> {
  const copy = await copyOf(store, (name, content) =>
    /^(archive\.json|journal\/|page\/)/.test(name) ? content : undefined,
  )
  const [from, to] = [await openArchive(store), await openArchive(copy, { identities })]
  await to.setRecipients(recipients)
  for (const name of await namesOf(store)) {
    if (/^(segment|piece)\/|\/tables\//.test(name)) await to.putObject(name, await from.getObject(name))
    if (name.endsWith('manifest.json')) await to.putBare(name, await from.getBare(name))
  }
  return copy
}

it('an encrypted archive is repaired from a clear one and from its like, and stays encrypted', async () => {
  const store = await finishedArchive()
  const identity = await generateX25519Identity()
  const recipients = [await identityToRecipient(identity)]
  const identities = [identity]
  const whole = await encryptedCopy(store, recipients, identities)
  const findingsIn = async (one: ArchiveStore): Promise<string[]> => {
    const found: string[] = []
    for await (const { name } of verifyArchive(await openArchive(one, { identities }))) found.push(name)
    return found
  }
  expect(await findingsIn(whole)).toEqual([])
  const names = (await namesOf(whole)).filter((name) => /^(segment|piece|backup)\//.test(name))
  expect(names.length).toBeGreaterThan(5)
  const sources: readonly Archive[] = [await openArchive(store), await openArchive(whole, { identities })]
  for (const name of names) {
    for (const source of sources) {
      for (const part of [0.9]) {
        const damaged = await copyOf(whole, (one, content) => {
          const at = Math.floor(content.length * part)
          if (one === name) content.writeUInt8(content.readUInt8(at) ^ 1, at)
          return content
        })
        expect(await findingsIn(damaged)).toEqual([name])
        const archive = await openArchive(damaged, { identities })
        const steps: RepairStep[] = []
        for await (const step of repairArchive({ archive, from: [source], apply: true })) steps.push(step)
        expect(steps, name).toMatchObject([{ name, outcome: 'repaired' }])
        expect(await findingsIn(damaged)).toEqual([])
        const clear = await openArchive(damaged)
        const reading = name.endsWith('.json') ? clear.getBare(name) : clear.getObject(name)
        await expect(reading).rejects.toMatchObject({ code: 'ARCHIVE_KEY_MISSING' })
      }
    }
  }
  // Without a key nothing is decided, and nothing is removed.
  const keyless = await openArchive(await copyOf(whole, (_, content) => content))
  const repairing = async (): Promise<void> => {
    for await (const step of repairArchive({ archive: keyless, from: sources, apply: true }))
      expect(step).toBeUndefined()
  }
  await expect(repairing()).rejects.toMatchObject({ code: 'ARCHIVE_KEY_MISSING' })
  expect(await findingsIn(keyless.store)).toEqual([])
})
