import { archiveError } from '../errors.ts'
import { isIdentity } from './age-file.ts'

/** Each may be tried on each object. */
const IDENTITIES_COUNT_MAX = 64

/**
 * The identities of a file as age-keygen writes it: one a line, lines that begin with `#` and empty ones aside.
 *
 * @throws ARCHIVE_KEY_INVALID, naming the line and never showing it
 */
export function parseIdentityFile(text: string): readonly string[] {
  const identities: string[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const identity = line.trim()
    if (identity === '' || identity.startsWith('#')) continue
    if (!isIdentity(identity)) throw invalid('a line is no identity of age', { line: index + 1 })
    identities.push(identity)
  }
  if (identities.length === 0) throw invalid('there is no identity in it', {})
  if (identities.length > IDENTITIES_COUNT_MAX) {
    throw invalid('there are too many identities', { countMax: IDENTITIES_COUNT_MAX })
  }
  return identities
}

function invalid(message: string, details: Readonly<Record<string, number>>): Error {
  return archiveError('ARCHIVE_KEY_INVALID', message, { details })
}
