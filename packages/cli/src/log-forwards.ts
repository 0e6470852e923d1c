// The log of a home that may be open: its owner removes the beginning at a checkpoint, also between two looks at the folder.
import { listSegments, type LogRecord, readLog, TimberlineError } from '@timberline/wal'
import type { Selection } from './log-selection.ts'

/** Reads the records that can be selected, oldest first, from the first one that is there. */
export async function* readForwards(
  directory: string,
  selection: Pick<Selection, 'beginLsn' | 'endLsn' | 'sinceUs' | 'untilUs'>,
  options: { readonly signal?: AbortSignal; readonly list?: typeof listSegments } = {},
): AsyncGenerator<readonly LogRecord[]> {
  const { signal, list = listSegments } = options
  for (let lostSegment = 0; ;) {
    // Whole segments before the wanted time or LSN are skipped by their headers; nothing is read of them.
    const first = (await list(directory)).find(
      ({ lastLsn, lastCommittedAtUs = Infinity }) =>
        lastLsn >= selection.beginLsn && lastCommittedAtUs >= selection.sinceUs,
    )
    if (first === undefined) return
    const { firstLsn, header } = first
    const fromLsn = Math.max(firstLsn, selection.beginLsn)
    let isShown = false
    try {
      for await (const group of readLog({ directory, fromLsn, throughLsn: selection.endLsn, signal })) {
        isShown = true
        yield group
        if ((group.at(-1)?.committedAtUs ?? 0) >= selection.untilUs) return
      }
      return
    } catch (error) {
      const isGone = error instanceof TimberlineError && error.code === 'WAL_GAP'
      // Removed since it was listed: then the log begins later now, and the next list says where.
      if (!isGone || isShown || header.segmentNumber <= lostSegment) throw error
      lostSegment = header.segmentNumber
    }
  }
}
