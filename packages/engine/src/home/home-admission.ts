import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { engineError } from '../errors.ts'
import { refuseEnded } from './home-end.ts'
import { readHomeIdentity } from './home-identity.ts'
import type { HomeIdentity } from './home-identity.ts'
import { BACKUP_LABEL, RECOVERY_LABEL, STANDBY_LABEL, homeLayout } from './home-layout.ts'

/** In a home whose adoption, or the way back from it, was interrupted. */
export const ADOPT_MARKER = 'adopt.json'

/**
 * Whether a folder may be opened as a home: the identity of an existing one, `undefined` where a new one may be made.
 *
 * @throws ENGINE_BACKUP_NOT_RECOVERED, ENGINE_RECOVERY_UNFINISHED, ENGINE_HOME_STANDBY, ENGINE_ADOPT_UNFINISHED for a folder
 * that another command must finish; ENGINE_HOME_ENDED where a promoted standby goes on; ENGINE_HOME_NOT_ADOPTED for a plain LevelDB; ENGINE_HOME_DAMAGED when the identity is gone while
 * data, log or checkpoint are there: that is never a new home
 */
export async function admitHome(
  home: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<HomeIdentity | undefined> {
  const layout = homeLayout(home)
  const has = async (path: string): Promise<boolean> => (await fileSystem.status(path)) !== undefined
  const details = { home }
  if (await has(join(home, BACKUP_LABEL))) {
    throw engineError('ENGINE_BACKUP_NOT_RECOVERED', 'the folder is a backup set', { details })
  }
  if (await has(join(home, RECOVERY_LABEL))) {
    throw engineError('ENGINE_RECOVERY_UNFINISHED', 'a recovery into the folder is unfinished', { details })
  }
  if (await has(join(home, STANDBY_LABEL))) {
    throw engineError('ENGINE_HOME_STANDBY', 'the folder is a standby', { details })
  }
  if (await has(join(home, ADOPT_MARKER))) {
    throw engineError('ENGINE_ADOPT_UNFINISHED', 'the adoption of the folder is unfinished', { details })
  }
  await refuseEnded(home, fileSystem)
  if (await has(layout.identityPath)) return readHomeIdentity(home, fileSystem)
  if (await has(join(home, 'CURRENT'))) {
    throw engineError('ENGINE_HOME_NOT_ADOPTED', 'the folder is a plain LevelDB database', { details })
  }
  for (const path of [layout.dataDirectory, layout.logDirectory, layout.checkpointDirectory]) {
    if ((await has(path)) && (await fileSystem.list(path)).length > 0) {
      throw engineError('ENGINE_HOME_DAMAGED', 'the identity of the home is missing', {
        details: { home, identityPath: layout.identityPath, present: path },
      })
    }
  }
  return undefined
}
