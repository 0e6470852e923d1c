// The program of a spool's worker: `push-worker URL SPOOL FOLDER FIRST`. Only `archive push --async` begins it.
import { fileArchive } from '../file-archive.ts'
import { leaveFailure, pushAhead, type PushErrand } from './push-ahead.ts'
import { becomeWorker } from './worker-lock.ts'

const [url = '', spool = '', folder = '', first = ''] = process.argv.slice(2)
const errand: PushErrand = { url, spool, folder, first }

/** Ends with 0 or 1 whatever happens: where the database is process 1 it takes other codes for a crash of its own. */
async function work(): Promise<0 | 1> {
  try {
    const resign = await becomeWorker(spool)
    if (resign === undefined) return 0
    try {
      await pushAhead(await fileArchive(url), errand)
    } catch (error) {
      await leaveFailure(errand, error)
    } finally {
      await resign()
    }
    return 0
  } catch {
    // The spool cannot be written to. The call sees the worker gone, archives its file itself and tells its own error.
    return 1
  }
}

process.exitCode = await work()
