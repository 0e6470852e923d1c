import { join } from 'node:path'

/** In a folder that is a backup set; an ordinary open refuses such a folder. */
export const BACKUP_LABEL = 'backup.json'
/** In a folder whose recovery is running or was interrupted; an ordinary open refuses such a folder. */
export const RECOVERY_LABEL = 'recovery.json'
/** In a folder that follows an archive, and is a home only once it is promoted; an ordinary open refuses such a folder. */
export const STANDBY_LABEL = 'standby.json'

/** In a home that a standby took over from: its timeline has ended, and an ordinary open refuses it. */
export const ENDED_LABEL = 'ended.json'

/** The paths of a home. */
export interface HomeLayout {
  readonly home: string
  /** `timberline.json`: environment id and timeline. */
  readonly identityPath: string
  /** `data/`: LevelDB, a cache of the log. */
  readonly dataDirectory: string
  /** `log/`: the truth. */
  readonly logDirectory: string
  /** `checkpoint/`: one manifest per checkpoint. */
  readonly checkpointDirectory: string
  /** `checkpoint/tables/`: hard links to immutable tables, shared by checkpoints. Never open LevelDB on it. */
  readonly tablesDirectory: string
  /** `lock/`: a tiny LevelDB whose lock the kernel drops when its process dies. */
  readonly lockDirectory: string
  /** `lock.json`: which process holds the home. */
  readonly ownerPath: string
  /** `control.sock`: the owner's control socket. */
  readonly socketPath: string
  /** `backup-due.json`, `volumes.json`: what is remembered of backups of this home. They go where it goes. */
  readonly recordPaths: readonly string[]
}

/** Where everything in a home lies; touches no file. */
export function homeLayout(home: string): HomeLayout {
  const checkpointDirectory = join(home, 'checkpoint')
  return Object.freeze({
    home,
    identityPath: join(home, 'timberline.json'),
    dataDirectory: join(home, 'data'),
    logDirectory: join(home, 'log'),
    checkpointDirectory,
    tablesDirectory: join(checkpointDirectory, 'tables'),
    lockDirectory: join(home, 'lock'),
    ownerPath: join(home, 'lock.json'),
    socketPath: join(home, 'control.sock'),
    recordPaths: [join(home, 'backup-due.json'), join(home, 'volumes.json')],
  })
}
