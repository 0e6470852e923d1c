// A file of another system into an archive: here, or by a worker that goes ahead of the calls.
import { basename, dirname, resolve } from 'node:path'
import type { Command } from '../command.ts'
import { formatBytes } from '../quantity.ts'
import { pushThroughSpool } from '../spool/push-through-spool.ts'
import { launchWorker } from '../spool/worker-launch.ts'
import { requireFile } from './source-file.ts'

/** Longer than this nobody waits for a worker, in seconds; then the call archives its file itself. */
const WAIT_SECONDS_DEFAULT = 60

/** `timberline archive push` */
export const archivePushCommand: Command = async (args, { signal }) => {
  const [path = '', name = basename(path)] = args.operands
  const url = args.required('archive')
  await requireFile(path)
  if (args.flag('async')) {
    const pushed = await pushThroughSpool(
      {
        url,
        spool: resolve(args.required('spool')),
        folder: resolve(dirname(path)),
        first: name,
      },
      {
        waitMs: 1000 * (args.number('wait-seconds') ?? WAIT_SECONDS_DEFAULT),
        launch: launchWorker,
        signal,
      },
    )
    if (pushed !== undefined) {
      const { bytes, sha256 } = pushed
      return {
        document: { name, outcome: 'pushed-ahead', bytes, sha256 },
        lines: [`${name}: ${formatBytes(bytes)}, pushed ahead`],
      }
    }
  }
  // Only now, because loading the archive takes longer than all above.
  const { fileArchive, pushFile } = await import('./file-archive.ts')
  const { outcome, bytes, sha256, storedBytes } = await pushFile(await fileArchive(url), { name, path })
  return {
    document: { name, outcome, bytes, sha256, storedBytes },
    lines: [
      `${name}: ${formatBytes(bytes)}, ${outcome === 'created' ? `stored in ${formatBytes(storedBytes)}` : 'was there already'}`,
    ],
  }
}
