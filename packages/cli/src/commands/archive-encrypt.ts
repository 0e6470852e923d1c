import { type Archive, openArchive, openStore } from '@timberline/archive'
import { environmentText, keysFrom } from '../archive-keys.ts'
import type { Command, Outcome } from '../command.ts'
import { cliError } from '../errors.ts'
import { formatCount } from '../quantity.ts'
import { existingArchive } from '../archive-access.ts'
import { fileArchive } from '../file-archive.ts'

/** `timberline archive encrypt` */
export const archiveEncryptCommand: Command = async (args) => {
  const url = args.required('archive')
  if (args.flag('create')) await (await fileArchive(url)).close()
  const isByPassphrase = args.flag('passphrase')
  // Keys that do not fit must be no obstacle to naming recipients, which needs none.
  const archive = isByPassphrase
    ? await openArchive(openStore(url), await keysFrom())
    : await existingArchive(url)
  try {
    const { recipients: before = [] } = await archive.catalogue()
    const asked = args.list('recipient')
    if (asked.length === 0 && !isByPassphrase) return present(archive, before)
    const recipients = [...asked, ...(isByPassphrase ? [await protectedRecipient(archive)] : [])]
    await archive.setRecipients(recipients)
    return await changed(archive, { recipients, before })
  } finally {
    await archive.close()
  }
}

async function protectedRecipient(archive: Archive): Promise<string> {
  const passphrase = environmentText('TIMBERLINE_PASSPHRASE_NEW') ?? environmentText('TIMBERLINE_PASSPHRASE')
  if (passphrase === undefined) throw cliError('CLI_USAGE', 'TIMBERLINE_PASSPHRASE is missing')
  return archive.addProtectedIdentity(passphrase)
}

function present(archive: Archive, recipients: readonly string[]): Outcome {
  const { url } = archive.store
  return {
    document: { archive: url, recipients },
    lines:
      recipients.length === 0
        ? ['in the clear: name who may read new objects with --recipient age1…']
        : ['new objects are encrypted to', ...recipients.map((recipient) => `  ${recipient}`)],
  }
}

async function changed(
  archive: Archive,
  { recipients, before }: Readonly<Record<'recipients' | 'before', readonly string[]>>,
): Promise<Outcome> {
  const clearObjects = before.length === 0 ? await contentCount(archive) : 0
  const isRotation = before.length > 0
  return {
    document: { archive: archive.store.url, recipients, before, clearObjects },
    lines: [
      'new objects are encrypted to',
      ...recipients.map((recipient) => `  ${recipient}`),
      ...(clearObjects === 0
        ? []
        : [`${formatCount(clearObjects)} objects that were there stay in the clear`]),
      ...(isRotation ? ['objects from before open by the identities of before: keep these too'] : []),
      'without an identity of one of them nothing can be recovered: keep it apart from this machine',
    ],
  }
}

/** Objects that hold what the user wrote. */
async function contentCount(archive: Archive): Promise<number> {
  let count = 0
  for (const prefix of ['segment/', 'piece/', 'backup/', 'file/']) {
    for await (const object of archive.store.list(prefix)) count += object.name === '' ? 0 : 1
  }
  return count
}
