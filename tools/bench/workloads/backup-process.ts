/** Backups by a process that does nothing else, as the command is, and has done the like before: each is asked for, and answered with what it cost. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { hotbackup, type HotbackupOptions } from '@timberline/hotbackup'
import { promptFileSystem } from '@timberline/wal'
import { timed } from './timing.ts'

/** One backup: how long it took, and how many bytes it read from the home. */
export interface BackupCost {
  readonly ms: number
  readonly bytes: number
}

/** What can be said to another process. */
export type BackupRequest = Pick<HotbackupOptions, 'home' | 'digest' | 'update' | 'base' | 'checkpoint'> & {
  readonly target: string
}

export interface BackupProcess {
  readonly backUp: (request: BackupRequest) => Promise<BackupCost>
  readonly end: () => Promise<void>
}

const script = fileURLToPath(import.meta.url)

export function backupProcess(): BackupProcess {
  const child = fork(script, { execArgv: ['--import', 'tsx'] })
  const ended = once(child, 'exit')
  return {
    backUp: async (request) => {
      child.send(request)
      const [cost] = (await Promise.race([once(child, 'message'), ended.then(refuseEnd)])) as [BackupCost]
      return cost
    },
    end: async () => {
      child.disconnect()
      await ended
    },
  }
}

function refuseEnd(): never {
  throw new Error('the backup process ended by itself')
}

if (process.argv[1] === script) {
  process.on('message', (request: BackupRequest) => {
    void answer(request)
  })
}

async function answer(request: BackupRequest): Promise<void> {
  let bytes = 0
  const ms = await timed(async () => {
    bytes = (await hotbackup({ ...request, fileSystem: promptFileSystem })).copiedBytes
  })
  process.send?.({ ms, bytes } satisfies BackupCost)
}
