import { admitHome, type HomeIdentity } from '@timberline/engine'
import { type FileSystem, systemCode } from '@timberline/wal'
import { recoveryError } from './errors.ts'

/** A home that a standby follows in place: nothing of it is opened, so that its own process is not in the way. */
export interface FollowedHome {
  /** Absolute. */
  readonly home: string
  readonly fileSystem: FileSystem
}

/** @throws RECOVERY_PRIMARY_AWAY, ENGINE_HOME_ENDED, and what else an open of the home would be refused with */
export async function identityOf({ home, fileSystem }: FollowedHome): Promise<HomeIdentity> {
  const identity = await admitHome(home, fileSystem).catch((error: unknown) => {
    // It went away between two looks at it.
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (identity !== undefined) return identity
  throw awayError(home)
}

/** The error for a home that is not there. */
export function awayError(of: string): Error {
  return recoveryError('RECOVERY_PRIMARY_AWAY', 'the home that is followed is not there', { details: { of } })
}
