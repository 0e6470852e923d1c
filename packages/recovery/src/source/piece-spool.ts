// The beginning of a segment as a local file that grows with the pieces that are found, so that each byte of them is fetched once
// however often the archive is looked at.
import { join } from 'node:path'
import type { Archive, PieceRef } from '@timberline/archive'
import { removeIfPresent } from '@timberline/wal'
import { fetchBackupLog, fetchSegment } from './archive-transfer.ts'
import { recoveryError } from '../errors.ts'
import type { Span } from '../history/history.ts'
import type { LocalSegment } from './source.ts'
import { throwIfAborted, type TransferOptions } from '../transfer.ts'

/** Fetches what a standby reads, into a folder that holds nothing else. */
export class PieceSpool {
  readonly #archive: Archive
  /** Whole bytes of each file that is kept. */
  readonly #kept = new Map<string, number>()

  constructor(archive: Archive) {
    this.#archive = archive
  }

  /** Brings a span within reach, as `RecoverySource.fetchSpan` does. */
  async fetch(
    { origin }: Span,
    directory: string,
    options: TransferOptions,
  ): Promise<readonly LocalSegment[]> {
    switch (origin.type) {
      case 'segment':
        return [await fetchSegment(this.#archive, origin.segment, { directory, options })]
      case 'pieces':
        return [await this.#grow(origin.pieces, directory, options)]
      case 'backup':
        return fetchBackupLog(this.#archive, origin.backup, { directory, options })
      // v8 ignore next -- an archive's catalogue tells of no local files
      case 'files':
        return []
    }
  }

  /** Lets go of all files but the one of the newest segment, which may grow on. */
  async tidy(
    newest: Span | undefined,
    options: TransferOptions & { readonly directory: string },
  ): Promise<void> {
    const keep = pathOf(newest, options.directory)
    for (const path of this.#kept.keys()) {
      if (path === keep) continue
      this.#kept.delete(path)
      await removeIfPresent(path, options.fileSystem)
    }
  }

  /** Begins anew with an empty folder: after a failure nobody knows what is half there. */
  async reset({
    directory,
    fileSystem,
  }: Pick<TransferOptions, 'fileSystem'> & { readonly directory: string }): Promise<void> {
    this.#kept.clear()
    await fileSystem.removeTree(directory)
    await fileSystem.makeDirectory(directory)
  }

  async #grow(
    pieces: readonly PieceRef[],
    directory: string,
    options: TransferOptions,
  ): Promise<LocalSegment> {
    const [first] = pieces
    const path = pathOf(first, directory)
    const kept = this.#kept.get(path)
    let bytes = kept ?? 0
    const handle = await options.fileSystem.open(path, kept === undefined ? 'create' : 'write')
    this.#kept.set(path, bytes)
    try {
      for (const piece of pieces) {
        if (piece.endPosition <= bytes) continue
        throwIfAborted(options.signal)
        // A merged piece begins before what is here: its bytes are the same ones, and are written again.
        let { position } = piece
        for await (const chunk of this.#archive.fetchPiece(piece)) {
          await handle.write(chunk, position)
          position += chunk.length
        }
        if (position !== piece.endPosition) {
          throw recoveryError('RECOVERY_LOG_DAMAGED', 'a piece has another length than its name says', {
            details: { name: piece.name, position, endPosition: piece.endPosition },
          })
        }
        bytes = position
        this.#kept.set(path, bytes)
      }
    } finally {
      await handle.close()
    }
    return { path, last: true, isCopy: false }
  }
}

function pathOf(
  place: { readonly timeline: number; readonly segmentNumber?: number } | undefined,
  directory: string,
): string {
  return join(directory, `growing-${place?.timeline}-${place?.segmentNumber}`)
}
