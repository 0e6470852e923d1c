import { join } from 'node:path'
import { nodeFileSystem, removeIfPresent } from '@timberline/wal'
import { readHomeIdentity } from './home-identity.ts'
import { ENDED_LABEL, homeLayout } from './home-layout.ts'
import { lockHome } from './lock.ts'

/**
 * Removes what makes a folder a home, and the folder if nothing else is in it.
 *
 * @throws ENGINE_HOME_MISSING when it is no home: a mistyped path removes nothing; ENGINE_HOME_LOCKED
 */
export async function destroyHome(home: string): Promise<void> {
  const layout = homeLayout(home)
  await readHomeIdentity(home)
  const lock = await lockHome(home)
  try {
    // The identity goes last: while it is there, a second call can finish what was interrupted.
    for (const folder of [layout.dataDirectory, layout.checkpointDirectory, layout.logDirectory]) {
      await nodeFileSystem.removeTree(folder)
    }
    const records = [...layout.recordPaths, join(home, ENDED_LABEL)]
    for (const path of records) await removeIfPresent(path, nodeFileSystem)
    await nodeFileSystem.remove(layout.identityPath)
    await nodeFileSystem.syncDirectory(home)
  } finally {
    await lock.release()
  }
  await nodeFileSystem.removeTree(layout.lockDirectory)
  if ((await nodeFileSystem.list(home)).length === 0) await nodeFileSystem.removeTree(home)
}
