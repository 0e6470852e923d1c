/**
 * In which folder each file of a call is begun. Folders are filled one after the other, because a disk that nothing lies on cannot cost a
 * volume. But where there are more folders than volumes to a parity volume, each file of a group gets a folder of its own: then
 * parity makes up for a whole lost disk.
 */

/** What decides about the folders of a call. */
export interface CallFolders {
  readonly dirs: readonly string[]
  readonly parity: number
  readonly firstVolume: number
}

/** The turn of a volume: the index of its folder, counted on beyond the last one. */
export function volumeTurn(call: CallFolders, volume: number): number {
  const { parity, firstVolume } = call
  if (!isSpread(call)) return 0
  const position = volume - firstVolume
  return Math.floor(position / parity) * (parity + 1) + (position % parity)
}

/** The turn of the parity volume whose group begins with this volume. */
export function parityTurn(call: CallFolders, firstOfGroup: number): number {
  return isSpread(call) ? volumeTurn(call, firstOfGroup) + call.parity : 0
}

function isSpread({ dirs, parity }: CallFolders): boolean {
  return parity > 0 && dirs.length > parity
}

/** The folders of a call; shared by all its files, so that none goes to a full one. */
export class FolderQueue {
  readonly dirs: readonly string[]
  readonly #full = new Set<string>()

  constructor(dirs: readonly string[]) {
    this.dirs = dirs
  }

  /** The first folder with room, looked for from a turn on and then from the beginning; `undefined` when all are full. */
  folderAt(turn: number): string | undefined {
    const from = turn % this.dirs.length
    const inTurn = [...this.dirs.slice(from), ...this.dirs.slice(0, from)]
    return inTurn.find((directory) => !this.#full.has(directory))
  }

  /** Passes over a full folder from now on; whether any has room then. */
  passOver(directory: string): boolean {
    this.#full.add(directory)
    return this.#full.size < this.dirs.length
  }
}
