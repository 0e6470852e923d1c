import { admitHome, type HomeIdentity } from '@timberline/engine'
import { type FileSystem, systemCode, TimberlineError } from '@timberline/wal'
import { recoveryError } from '../errors.ts'

/** A home that a standby follows in place: nothing of it is opened, so that its own process is not in the way. */
export interface FollowedHome {
  /** Absolute. */
  readonly home: string
  readonly fileSystem: FileSystem
}

/** @throws RECOVERY_PRIMARY_AWAY, ENGINE_HOME_ENDED, and what else an open of the home would be refused with */
export async function identityOf({ home, fileSystem }: FollowedHome): Promise<HomeIdentity> {
  const look = (): Promise<HomeIdentity | undefined> => admitHome(home, fileSystem)
  // One that goes away or comes back while it is looked at has some of its files and lacks others: what refuses it must be there twice.
  const identity = await look()
    .catch(look)
    .catch((error: unknown) => {
      if (isAway(error)) return undefined
      throw error
    })
  if (identity !== undefined) return identity
  throw awayError(home)
}

/** It went between two looks at it. */
function isAway(error: unknown): boolean {
  const code = error instanceof TimberlineError ? error.code : systemCode(error)
  return code === 'ENOENT' || code === 'ENGINE_HOME_MISSING'
}

/** The error for a home that is not there. */
export function awayError(of: string): Error {
  return recoveryError('RECOVERY_PRIMARY_AWAY', 'the home that is followed is not there', { details: { of } })
}
