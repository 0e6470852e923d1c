/** What anybody can do with a closed database: copy its files. It is what backups and recoveries are measured against. */
import { execFile } from 'node:child_process'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A folder of files, by `cp -a`, each durable at the end. */
export async function copyTree(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to])
  for (const name of await readdir(to)) {
    const handle = await open(join(to, name), 'r')
    await handle.sync()
    await handle.close()
  }
}
