// The only file that names age-encryption. What it makes are plain age files (age-encryption.org/v1), which `age -d` opens.
import { ReadableStream } from 'node:stream/web'
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'

/** What every age file begins with. */
export const AGE_MAGIC: Buffer = Buffer.from('age-encryption.org/v1\n', 'latin1')

/** What may open an age file. */
export interface AgeKeys {
  readonly identities?: readonly string[] | undefined
  readonly passphrase?: string | undefined
}

/** Content as an age file, different at each call. */
export async function* sealAge(
  content: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
): AsyncGenerator<Uint8Array> {
  const encrypter = new Encrypter()
  for (const recipient of recipients) encrypter.addRecipient(recipient)
  yield* chunksOf(await encrypter.encrypt(webStream(content)))
}

/** A few bytes as an age file that a passphrase opens; takes a second and 256 MB, by design of scrypt. */
export async function sealAgeByPassphrase(content: string, passphrase: string): Promise<Buffer> {
  const encrypter = new Encrypter()
  encrypter.setPassphrase(passphrase)
  return Buffer.from(await encrypter.encrypt(content))
}

/**
 * The content of an age file; `undefined` when no key opens it. Anything thrown, here or by the content, is damage unless the
 * stream given threw it. Each chunk is authentic when it comes; that none is missing is known at the end.
 */
export async function openAge(
  file: AsyncIterable<Uint8Array>,
  { identities = [], passphrase }: AgeKeys,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const decrypter = new Decrypter()
  for (const identity of identities) decrypter.addIdentity(identity)
  if (passphrase !== undefined) decrypter.addPassphrase(passphrase)
  let isUnmatched = false
  // Keys are asked in turn, so that this one is asked only when none before it fits.
  decrypter.addIdentity({
    unwrapFileKey: () => {
      isUnmatched = true
      return null
    },
  })
  try {
    return chunksOf(await decrypter.decrypt(webStream(file)))
  } catch (error) {
    if (isUnmatched) return undefined
    throw error
  }
}

/** A new identity, as age-keygen makes one. */
export function newIdentity(): Promise<string> {
  return generateX25519Identity()
}

/** The recipient of an identity. */
export function recipientOf(identity: string): Promise<string> {
  return identityToRecipient(identity)
}

/** Whether a text is a recipient, by its checksum. */
export function isRecipient(text: string): boolean {
  return text.length === RECIPIENT_LENGTH && accepts(() => new Encrypter().addRecipient(text))
}

/** Whether a text is an identity, by its checksum. */
export function isIdentity(text: string): boolean {
  return text.length === IDENTITY_LENGTH && accepts(() => new Decrypter().addIdentity(text))
}

// Only X25519: Debian's age knows no other kind. The lengths are those of 32 bytes in bech32.
const RECIPIENT_LENGTH = 62
const IDENTITY_LENGTH = 74

function accepts(take: () => void): boolean {
  try {
    take()
    return true
  } catch {
    return false
  }
}

/** The last of its overloads takes a stream; Node's type of one is another name for the same. */
type WebStream = Parameters<Encrypter['encrypt']>[0]

/** Pulled chunk by chunk, so that backpressure reaches the source. */
function webStream(content: AsyncIterable<Uint8Array>): WebStream {
  return ReadableStream.from(content) as WebStream
}

async function* chunksOf(stream: WebStream): AsyncGenerator<Uint8Array> {
  yield* stream as AsyncIterable<Uint8Array>
}
