import { makePromise } from '@timberline/archive'
import type { Command } from '../command.ts'
import { existingArchive } from '../archive-access.ts'
import { describePromise, promiseOf } from './promise-words.ts'

/** `timberline archive promise` */
export const archivePromiseCommand: Command = async (args) => {
  const archive = await existingArchive(args.required('archive'))
  try {
    const asked = promiseOf(args)
    if (asked !== undefined) await makePromise(archive, asked, { force: args.flag('force') })
    const { promise } = await archive.catalogue()
    return {
      document: { archive: archive.store.url, promise: promise ?? null },
      lines: [
        promise === undefined
          ? 'no promise: nothing is ever let go; make one with --instants 7d --bases 1w/8w'
          : `promised: ${describePromise(promise)}`,
      ],
    }
  } finally {
    await archive.close()
  }
}
