import { join } from 'node:path'
import type { FileSystem } from '@timberline/wal'
import type { CheckpointManifest } from './checkpoint-manifest.ts'
import { writeDataFromCheckpoint } from './checkpoint-restore.ts'
import type { StateDigest } from '../tables/digest.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { parseManifest } from '../leveldb/leveldb-manifest.ts'
import { digestTables } from '../tables/table-digest.ts'

/** Where a checkpoint is linked to be read; a leftover of a crash is removed by the next use and at open. */
export const SCRATCH_NAME = 'checkpoint.scratch'

/** The digest of a checkpoint's state, read from a scratch folder of links: a newer checkpoint may drop its tables meanwhile. */
export async function digestCheckpoint(
  manifest: CheckpointManifest,
  layout: HomeLayout,
  fileSystem: FileSystem,
): Promise<StateDigest> {
  const scratch = join(layout.home, SCRATCH_NAME)
  await fileSystem.removeTree(scratch)
  try {
    const dataDirectory = join(scratch, 'data')
    await fileSystem.makeDirectory(scratch)
    await writeDataFromCheckpoint(manifest, layout.tablesDirectory, dataDirectory, {
      mode: 'link',
      verify: false,
      fileSystem,
    })
    const { tables } = parseManifest(Buffer.from(manifest.manifestBase64, 'base64'))
    return await digestTables(tables.values(), dataDirectory, fileSystem)
  } finally {
    await fileSystem.removeTree(scratch)
  }
}
