// Keys come by file or environment, never by the command line itself: that everybody on the machine can read.
import { readFile } from 'node:fs/promises'
import { type ArchiveOptions, parseIdentityFile } from '@timberline/archive'
import type { Arguments } from './arguments.ts'
import { cliError } from './errors.ts'

/** What opens an encrypted archive. */
export type ArchiveKeys = Pick<ArchiveOptions, 'identities' | 'passphrase'>

/** The keys that `--identity` or the environment gives. @throws CLI_FILE_MISSING, ARCHIVE_KEY_INVALID */
export async function keysFrom(args?: Arguments): Promise<ArchiveKeys> {
  const path = args?.text('identity') ?? environmentText('TIMBERLINE_IDENTITY')
  const passphrase = environmentText('TIMBERLINE_PASSPHRASE')
  return {
    ...(path === undefined ? {} : { identities: parseIdentityFile(await textOf(path)) }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
}

/** A variable of the environment; an empty one counts as none. */
export function environmentText(name: string): string | undefined {
  const text = process.env[name]
  return text === '' ? undefined : text
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw cliError('CLI_FILE_MISSING', 'the file of identities cannot be read', { details: { path }, cause })
  }
}
