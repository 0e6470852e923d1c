// A file of another system into an archive: here, or by a worker that goes ahead of the calls.
import { basename, dirname, resolve } from 'node:path'
import { TimberlineError } from '@timberline/wal'
import type { Arguments } from '../arguments.ts'
import type { Command, Surroundings } from '../command.ts'
import { formatBytes } from '../quantity.ts'
import { pushThroughSpool } from '../spool/push-through-spool.ts'
import { launchWorker } from '../spool/worker-launch.ts'
import { type ContentDigest, requireFile } from '../source-file.ts'

/** Longer than this nobody waits for a worker, in seconds; then the call archives its file itself. */
const WAIT_SECONDS_DEFAULT = 60

/** `timberline archive push` */
export const archivePushCommand: Command = async (args, surroundings) => {
  const [path = '', name = basename(path)] = args.operands
  await requireFile(path)
  const pushed = args.flag('async') ? await pushedAhead(args, { name, path }, surroundings) : undefined
  if (pushed !== undefined) {
    const { bytes, sha256 } = pushed
    return {
      document: { name, outcome: 'pushed-ahead', bytes, sha256 },
      lines: [`${name}: ${formatBytes(bytes)}, pushed ahead`],
    }
  }
  // Only now, because loading the archive takes longer than all above.
  const { fileArchive, pushFile } = await import('../file-archive.ts')
  const archive = await fileArchive(args.required('archive'))
  const { outcome, bytes, sha256, storedBytes } = await pushFile(archive, { name, path })
  return {
    document: { name, outcome, bytes, sha256, storedBytes },
    lines: [
      `${name}: ${formatBytes(bytes)}, ${outcome === 'created' ? `stored in ${formatBytes(storedBytes)}` : 'was there already'}`,
    ],
  }
}

/** What the worker of the spool archived; `undefined` when it is to be done here. */
async function pushedAhead(
  args: Arguments,
  { name, path }: Readonly<Record<'name' | 'path', string>>,
  { signal, warn }: Pick<Surroundings, 'signal' | 'warn'>,
): Promise<ContentDigest | undefined> {
  const spool = resolve(args.required('spool'))
  const errand = { url: args.required('archive'), spool, folder: resolve(dirname(path)), first: name }
  const waitMs = 1000 * (args.number('wait-seconds') ?? WAIT_SECONDS_DEFAULT)
  try {
    return await pushThroughSpool(errand, { waitMs, launch: launchWorker, signal })
  } catch (error) {
    if (signal.aborted || error instanceof TimberlineError) throw error
    // A spool that is full, read-only or gone makes archiving slower; it must not end it.
    warn(`the spool is no use, so the file is archived without it: spool=${spool} (${String(error)})`)
    return undefined
  }
}
