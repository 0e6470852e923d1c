/**
 * How many volumes a call would be, and where they would go: a function of what it would add and of the room there is. Content is taken as
 * it is before compression, so that what fits here fits.
 */
import { type CallIndex, encodeCallIndex } from './call-index.ts'
import { type CallFolders, FolderQueue, parityTurn, volumeTurn } from './folder-turns.ts'
import { parityBodyAt } from './parity-header.ts'
import { parityGroups } from './series-check.ts'
import { blocksAt, VOLUME_PAGE_BYTES } from './volume-header.ts'

/** A folder for volumes, and the room that it shares with others on its device. */
export interface FolderRoom {
  readonly directory: string
  readonly device: number
  readonly freeBytes: number
}

/** What a call would add to its series. */
export interface PlannedContent {
  /** Bytes before the index. */
  readonly bytes: number
  readonly index: CallIndex
}

/** What would go into one folder. */
export interface PlannedFolder extends FolderRoom {
  readonly volumeCount: number
  readonly parityCount: number
  /** Bytes of these files, if nothing of their content can be compressed. */
  readonly bytesMax: number
}

/** A call that has not been made. */
export interface CallPlan {
  readonly pages: number
  readonly volumeCount: number
  readonly parityCount: number
  /** Bytes of all files, if nothing of their content can be compressed. */
  readonly bytesMax: number
  /** In the order in which they were named; files for which there is no room are in none. */
  readonly folders: readonly PlannedFolder[]
  readonly fits: boolean
}

type FilledFolder = { -readonly [Key in keyof PlannedFolder]: PlannedFolder[Key] }

interface PlannedFile {
  readonly turn: number
  readonly bytes: number
  readonly isParity: boolean
}

/** Plans a call. */
export function planCall(
  call: Omit<CallFolders, 'dirs'> & { readonly volumePages: number },
  { bytes, index }: PlannedContent,
  rooms: readonly FolderRoom[],
): CallPlan {
  const pages = Math.ceil((bytes + encodeCallIndex(index).length) / VOLUME_PAGE_BYTES)
  const files = filesOf({ ...call, dirs: rooms.map(({ directory }) => directory) }, pages)
  const folders = rooms.map((room) => ({ ...room, volumeCount: 0, parityCount: 0, bytesMax: 0 }))
  const fits = files.length === placeFiles(files, folders)
  const parityCount = files.filter(({ isParity }) => isParity).length
  return {
    pages,
    volumeCount: files.length - parityCount,
    parityCount,
    bytesMax: files.reduce((sum, file) => sum + file.bytes, 0),
    folders,
    fits,
  }
}

/** The files of a call, in the order in which they are written. */
function filesOf(
  call: CallFolders & { readonly volumePages: number },
  pages: number,
): readonly PlannedFile[] {
  const { volumePages, parity, firstVolume } = call
  const volumes: PlannedFile[] = []
  for (let left = pages; left > 0; left -= volumePages) {
    const turn = volumeTurn(call, firstVolume + volumes.length)
    const bytes = blocksAt(volumePages) + Math.min(left, volumePages) * VOLUME_PAGE_BYTES
    volumes.push({ turn, bytes, isParity: false })
  }
  const groups = parityGroups({ first: firstVolume, last: firstVolume + volumes.length - 1 }, parity)
  const parities = groups.map(({ first, last }) => {
    const members = volumes.slice(first - firstVolume, last - firstVolume + 1)
    const longest = Math.max(...members.map(({ bytes }) => bytes))
    const turn = parityTurn(call, first)
    return { turn, bytes: parityBodyAt({ first, last }) + longest, isParity: true }
  })
  return [...volumes, ...parities]
}

/** Puts each file where a call would, until there is no room; how many there was room for. */
function placeFiles(files: readonly PlannedFile[], folders: readonly FilledFolder[]): number {
  const left = new Map(folders.map(({ device, freeBytes }) => [device, freeBytes]))
  const queue = new FolderQueue(folders.map(({ directory }) => directory))
  const folderFor = ({ turn, bytes }: PlannedFile): FilledFolder | undefined => {
    for (;;) {
      const directory = queue.folderAt(turn)
      const folder = folders.find((each) => each.directory === directory)
      if (folder === undefined || bytes <= (left.get(folder.device) ?? 0)) return folder
      queue.passOver(folder.directory)
    }
  }
  for (const [count, file] of files.entries()) {
    const folder = folderFor(file)
    if (folder === undefined) return count
    left.set(folder.device, (left.get(folder.device) ?? 0) - file.bytes)
    folder.bytesMax += file.bytes
    folder.volumeCount += file.isParity ? 0 : 1
    folder.parityCount += file.isParity ? 1 : 0
  }
  return files.length
}
