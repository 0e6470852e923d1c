import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { CrashFileSystem } from '@timberline/wal/testing'
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type Archive,
  type ArchiveStore,
  type BackupManifest,
  directoryStore,
  memoryStore,
  openArchive,
  parseIdentityFile,
  verifyArchive,
} from '../src/index.ts'
import { protectedIdentityName } from '../src/layout.ts'
import { archiveOn, IDENTITY } from './support/archive-scene.ts'
import { collectSpoiling } from './support/spoilt-memory.ts'
import { makePassphrasesCheap } from './support/cheap-passphrases.ts'

const CONTENT = Buffer.alloc(200_000, 'whatever a customer wrote ')
const NAME = 'file/orders'
const PASSPHRASE = 'correct horse battery staple'

interface Key {
  readonly identity: string
  readonly recipient: string
}

async function newKey(): Promise<Key> {
  const identity = await generateX25519Identity()
  return { identity, recipient: await identityToRecipient(identity) }
}

/** An archive that is encrypted to these keys, and a way to open it with others. */
async function encrypted(...keys: readonly Key[]): Promise<{ store: ArchiveStore; archive: Archive }> {
  const store = memoryStore()
  const archive = await archiveOn(store)
  await archive.setRecipients(keys.map(({ recipient }) => recipient))
  return { store, archive }
}

const withKeys = (store: ArchiveStore, ...keys: readonly Key[]): Promise<Archive> =>
  openArchive(store, { identities: keys.map(({ identity }) => identity) })

/** Stores an identity as the archive itself does, but where a passphrase costs a millisecond to try, not a second. */
async function addCheaplyProtected(store: ArchiveStore): Promise<string> {
  const { identity, recipient } = await newKey()
  const encrypter = new Encrypter()
  encrypter.setPassphrase(PASSPHRASE)
  encrypter.setScryptWorkFactor(10)
  await store.put(protectedIdentityName(recipient), await encrypter.encrypt(`${identity}\n`))
  return recipient
}

/** Time for whoever reads ahead. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const failing = (code: string): unknown => expect.objectContaining({ code })

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('an encrypted archive', () => {
  it('is written without a key and read with one, by any of its recipients', async () => {
    const [one, other] = [await newKey(), await newKey()]
    const { store, archive } = await encrypted(one, other)
    await archive.putObject(NAME, CONTENT)
    await archive.putObject('file/empty', Buffer.alloc(0), { codec: 'none' })
    expect((await store.get(NAME)).toString('latin1', 0, 22)).toBe('age-encryption.org/v1\n')
    for (const key of [one, other]) {
      const reader = await withKeys(store, key)
      expect((await reader.getObject(NAME)).equals(CONTENT)).toBe(true)
      expect(await reader.getObject('file/empty')).toEqual(Buffer.alloc(0))
    }
  })

  it('keeps what was there in the clear readable by everybody', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    await archive.putObject('file/before', CONTENT)
    await archive.setRecipients([(await newKey()).recipient])
    expect((await archive.getObject('file/before')).equals(CONTENT)).toBe(true)
  })

  it('encrypts to the new recipients after a rotation, and to nobody else', async () => {
    const [old, young] = [await newKey(), await newKey()]
    const { store, archive } = await encrypted(old)
    await archive.putObject('file/1', CONTENT)
    await archive.setRecipients([young.recipient])
    await archive.putObject('file/2', CONTENT)
    const first = await withKeys(store, old)
    expect((await first.getObject('file/1')).equals(CONTENT)).toBe(true)
    await expect(first.getObject('file/2')).rejects.toEqual(failing('ARCHIVE_KEY_WRONG'))
    const second = await withKeys(store, young)
    expect((await second.getObject('file/2')).equals(CONTENT)).toBe(true)
    await expect(second.getObject('file/1')).rejects.toEqual(failing('ARCHIVE_KEY_WRONG'))
    const both = await withKeys(store, young, old)
    for (const name of ['file/1', 'file/2']) expect((await both.getObject(name)).equals(CONTENT)).toBe(true)
    expect((await both.catalogue()).recipients).toEqual([young.recipient])
  })

  it('is opened without a key also by the pages of its journal', async () => {
    const { store, archive } = await encrypted(await newKey())
    for (let timeline = 1; timeline <= 200; timeline++) await archive.beginTimeline({ timeline })
    const pages: string[] = []
    for await (const { name } of store.list('page/')) pages.push(name)
    expect(pages.length).toBe(1)
    const opened = await openArchive(store)
    expect((await opened.catalogue()).timelines.length).toBe(200)
    await opened.putObject(NAME, CONTENT)
    await expect(opened.getObject(NAME)).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
  })

  it('is known within a minute to a writer that opened it before it was encrypted', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const store = memoryStore()
    const writer = await archiveOn(store)
    await writer.putObject('file/1', CONTENT)
    await (await openArchive(store)).setRecipients([(await newKey()).recipient])
    vi.advanceTimersByTime(60_001)
    await writer.putObject('file/2', CONTENT)
    await expect(writer.getObject('file/2')).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
  })

  it('is made and read in a few chunks of memory, however long an object is', async () => {
    const key = await newKey()
    const { store, archive } = await encrypted(key)
    const chunk = randomBytes(256 * 1024)
    let ahead = 0
    let aheadMax = 0
    const slow: ArchiveStore = {
      ...store,
      async put(_name, content) {
        if (content instanceof Uint8Array) throw new Error('a stream was expected')
        for await (const part of content.read()) {
          ahead -= part.length
          await turns()
        }
        return 'created'
      },
    }
    const read = async function* (): AsyncGenerator<Buffer> {
      for (let index = 0; index < 40; index++) {
        ahead += chunk.length
        aheadMax = Math.max(aheadMax, ahead)
        yield chunk
      }
    }
    const writer = await openArchive(slow)
    const sha256 = createHash('sha256')
    for await (const part of read()) sha256.update(part)
    ahead = aheadMax = 0
    const source = { bytes: 40 * chunk.length, sha256: sha256.digest('hex'), read }
    await writer.putObject(NAME, source, { codec: 'none', verify: false })
    expect(aheadMax).toBeLessThan(6 * chunk.length)

    await archive.putObject(NAME, source, { codec: 'none' })
    const stored: ArchiveStore = {
      ...store,
      async *getStream(name) {
        for await (const part of store.getStream(name)) {
          for (let at = 0; at < part.length; at += chunk.length) {
            ahead += Math.min(chunk.length, part.length - at)
            aheadMax = Math.max(aheadMax, ahead)
            yield part.subarray(at, at + chunk.length)
          }
        }
      },
    }
    ahead = aheadMax = 0
    for await (const part of (await withKeys(stored, key)).readObject(NAME)) {
      ahead -= part.length
      await turns()
    }
    expect(aheadMax).toBeLessThan(6 * chunk.length)
  })

  it('is read right into memory that is lent and spoilt once the next chunk is asked for', async () => {
    const key = await newKey()
    const store = directoryStore('/archive', new CrashFileSystem())
    const archive = await archiveOn(store)
    await archive.setRecipients([key.recipient])
    await archive.putObject(NAME, CONTENT, { codec: 'none' })
    const opened = await withKeys(store, key)
    for (const bytes of [13, 1000, 300_000]) {
      const { content } = await collectSpoiling((memory) => opened.readObject(NAME, { memory }), bytes)
      expect(content.equals(CONTENT)).toBe(true)
    }
  })

  it('cannot be made a clear one, nor be encrypted to what is no recipient', async () => {
    const { recipient, identity } = await newKey()
    const { archive } = await encrypted({ recipient, identity })
    const typo = `${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}`
    const many = await Promise.all(Array.from({ length: 33 }, async () => (await newKey()).recipient))
    for (const recipients of [[], [typo], [`${recipient} `], ['age1tag1whatever'], [identity], many]) {
      await expect(archive.setRecipients(recipients)).rejects.toEqual(failing('ARCHIVE_KEY_INVALID'))
    }
    // The secret half, given by mistake, is in no message.
    const slip: unknown = await archive.setRecipients([identity]).catch((error: unknown) => error)
    expect(JSON.stringify(slip) + String(slip)).not.toContain(identity)
    await archive.putObject(NAME, CONTENT)
    await expect(archive.getObject(NAME)).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
  })

  it('names a missing and a wrong key, once for the whole archive', async () => {
    const key = await newKey()
    const { store, archive } = await encrypted(key)
    for (let index = 0; index < 3; index++) await archive.putObject(`file/${index}`, CONTENT)
    const verified = async (reader: Archive): Promise<string[]> => {
      const codes: string[] = []
      for await (const { code } of verifyArchive(reader, { strays: true })) codes.push(code)
      return codes
    }
    await expect(verified(await openArchive(store))).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
    const stranger = await withKeys(store, await newKey())
    await expect(verified(stranger)).rejects.toEqual(failing('ARCHIVE_KEY_WRONG'))
    expect(await verified(await withKeys(store, key))).toEqual([])
  })

  it('tells damage from a wrong key, whichever byte is flipped', async () => {
    const key = await newKey()
    const { store, archive } = await encrypted(key)
    await archive.putObject(NAME, Buffer.from('a short content'))
    const whole = await store.get(NAME)
    const reader = await withKeys(store, key)
    let refused = 0
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole)
      flipped[at] = (flipped[at] ?? 0) ^ 0x04
      await store.delete(NAME)
      await store.put(NAME, flipped)
      await expect(reader.getObject(NAME), `byte ${at}`).rejects.toEqual(failing('ARCHIVE_OBJECT_DAMAGED'))
      refused++
    }
    expect(refused).toBe(whole.length)
    for (let length = 0; length < whole.length; length += 7) {
      await store.delete(NAME)
      await store.put(NAME, whole.subarray(0, length))
      await expect(reader.getObject(NAME), `cut at ${length}`).rejects.toEqual(
        failing('ARCHIVE_OBJECT_DAMAGED'),
      )
    }
  })

  it('refuses a chunk that was left out of a long object', async () => {
    const key = await newKey()
    const { store, archive } = await encrypted(key)
    await archive.putObject(NAME, CONTENT, { codec: 'none' })
    const whole = await store.get(NAME)
    const header = whole.indexOf('\n--- ') + 49 + 16
    const chunk = 64 * 1024 + 16
    await store.delete(NAME)
    await store.put(NAME, Buffer.concat([whole.subarray(0, header), whole.subarray(header + chunk)]))
    const reader = await withKeys(store, key)
    await expect(reader.getObject(NAME)).rejects.toEqual(failing('ARCHIVE_OBJECT_DAMAGED'))
    await store.delete(NAME)
    await store.put(NAME, whole.subarray(0, header + chunk))
    await expect(reader.getObject(NAME)).rejects.toEqual(failing('ARCHIVE_OBJECT_DAMAGED'))
  })

  it('takes the same content twice, from the writer that sent it or from one that can read', async () => {
    const key = await newKey()
    const { store, archive } = await encrypted(key)
    expect(await archive.putObject(NAME, CONTENT)).toMatchObject({ outcome: 'created' })
    expect(await archive.putObject(NAME, CONTENT)).toMatchObject({
      outcome: 'exists-same',
      storedBytes: (await store.get(NAME)).length,
    })
    const conflict = failing('ARCHIVE_CONFLICT')
    await expect(archive.putObject(NAME, Buffer.from('other'))).rejects.toEqual(
      failing('ARCHIVE_KEY_MISSING'),
    )
    const reader = await withKeys(store, key)
    expect(await reader.putObject(NAME, CONTENT)).toMatchObject({ outcome: 'exists-same' })
    await expect(reader.putObject(NAME, Buffer.from('other'))).rejects.toEqual(conflict)
    // Without a key, and after a restart, nobody can tell.
    const restarted = await openArchive(store)
    await expect(restarted.putObject(NAME, CONTENT)).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
  })

  it('hides the manifest of a backup, whose boundary keys are the user’s', async () => {
    const key = await newKey()
    const { store, archive } = await encrypted(key)
    const manifest = manifestWith(Buffer.from('boundary key of a customer').toString('base64'))
    await archive.addBackup(manifest)
    await archive.addBackup(manifest)
    const stored = await store.get(`backup/${manifest.label}/manifest.json`)
    expect(stored.toString('latin1', 0, 22)).toBe('age-encryption.org/v1\n')
    expect(await (await withKeys(store, key)).backupManifest(manifest.label)).toEqual(manifest)
    await expect(archive.backupManifest(manifest.label)).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
  })

  it('opens by a passphrase that protects an identity in it', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    const recipient = await archive.addProtectedIdentity(PASSPHRASE)
    await archive.setRecipients([recipient])
    await archive.putObject(NAME, CONTENT)
    const reader = await openArchive(store, { passphrase: PASSPHRASE })
    expect((await reader.getObject(NAME)).equals(CONTENT)).toBe(true)
    for await (const finding of verifyArchive(reader, { strays: true })) expect(finding).toBeUndefined()
  }, 60_000)

  it('does not open by another passphrase', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    await archive.setRecipients([await addCheaplyProtected(store)])
    await archive.putObject(NAME, CONTENT)
    const stranger = await openArchive(store, { passphrase: 'another one' })
    await expect(stranger.getObject(NAME)).rejects.toEqual(failing('ARCHIVE_KEY_WRONG'))
  })

  it('opens whole by the new passphrase after a change', async () => {
    makePassphrasesCheap()
    const store = memoryStore()
    const first = await archiveOn(store)
    await first.setRecipients([await addCheaplyProtected(store)])
    await first.putObject('file/1', CONTENT)
    const second = await openArchive(store, { passphrase: PASSPHRASE })
    await second.setRecipients([await second.addProtectedIdentity('a new one')])
    await second.putObject('file/2', CONTENT)
    const reader = await openArchive(store, { passphrase: 'a new one' })
    for (const name of ['file/1', 'file/2']) expect((await reader.getObject(name)).equals(CONTENT)).toBe(true)
  }, 120_000)

  it('says that it keeps no identity under a passphrase', async () => {
    const { store, archive } = await encrypted(await newKey())
    await archive.putObject(NAME, CONTENT)
    const reader = await openArchive(store, { passphrase: PASSPHRASE })
    await expect(reader.getObject(NAME)).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
  })

  it('lets go of the store when a reader stops early or has no key', async () => {
    const key = await newKey()
    const { store, archive } = await encrypted(key)
    await archive.putObject(NAME, Buffer.alloc(4_000_000, 7), { codec: 'none' })
    let open = 0
    const counted: ArchiveStore = {
      ...store,
      async *getStream(name) {
        open++
        try {
          yield* store.getStream(name)
        } finally {
          open--
        }
      },
    }
    for await (const chunk of (await withKeys(counted, key)).readObject(NAME)) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    await expect((await openArchive(counted)).getObject(NAME)).rejects.toEqual(failing('ARCHIVE_KEY_MISSING'))
    const stranger = await withKeys(counted, await newKey())
    await expect(stranger.getObject(NAME)).rejects.toEqual(failing('ARCHIVE_KEY_WRONG'))
    await pause(0)
    expect(open).toBe(0)
  })
})

describe('a file of identities', () => {
  it('is read as age-keygen writes it, several of them too', async () => {
    const keys = [await newKey(), await newKey()]
    const text = keys
      .map(({ identity, recipient }) => `# public key: ${recipient}\r\n${identity}\n\n`)
      .join('')
    expect(parseIdentityFile(text)).toEqual(keys.map(({ identity }) => identity))
  })

  it('is refused by the line, without showing it', async () => {
    const { identity, recipient } = await newKey()
    for (const text of [
      '',
      '# nothing',
      recipient,
      `${identity}\n${identity.slice(0, -1)}${identity.endsWith('X') ? 'Y' : 'X'}`,
      identity.toLowerCase(),
    ]) {
      const error: unknown = await Promise.resolve(text)
        .then(parseIdentityFile)
        .catch((reason: unknown) => reason)
      expect(error).toEqual(failing('ARCHIVE_KEY_INVALID'))
      expect(JSON.stringify(error) + String(error)).not.toContain(identity.slice(0, 40))
    }
  })
})

function manifestWith(manifestBase64: string): BackupManifest {
  return {
    format: 1,
    label: '20261126-120000F',
    environmentId: IDENTITY.environmentId,
    timeline: 1,
    kind: 'full',
    checkpoint: {
      lsn: 1,
      committedAtUs: 1,
      segmentNumber: 1,
      manifestName: 'MANIFEST-000002',
      manifestBase64,
      current: 'MANIFEST-000002\n',
    },
    beginLsn: 1,
    endLsn: 1,
    endCommittedAtUs: 1,
    files: [],
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'test',
  }
}
