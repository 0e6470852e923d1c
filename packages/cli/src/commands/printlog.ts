import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { listSegments, type LogRecord, readLog } from '@timberline/wal'
import type { Arguments } from '../arguments.ts'
import type { Command, Surroundings } from '../command.ts'
import { readForwards } from '../log-forwards.ts'
import { type PrintedRecord, readRecord, recordDocument, recordLines } from '../log-record.ts'
import { selectRecord, selectionOf, type Selection } from '../log-selection.ts'
import { jsonText } from '../readable.ts'

const shownBytesMax = 120

/** `timberline printlog` */
export const printlogCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  await readHomeIdentity(home)
  const selection = selectionOf(args)
  const records = args.flag('reverse')
    ? backwards(homeLayout(home).logDirectory, selection, surroundings.signal)
    : readForwards(homeLayout(home).logDirectory, selection, { signal: surroundings.signal })
  await print(records, selection, { args, surroundings })
  return {}
}

async function print(
  records: AsyncIterable<readonly LogRecord[]>,
  selection: Selection,
  { args, surroundings }: { readonly args: Arguments; readonly surroundings: Surroundings },
): Promise<void> {
  const bytesMax = args.flag('full') ? Infinity : shownBytesMax
  const text = surroundings.json
    ? (record: PrintedRecord, at: number): string =>
        `${at === 0 ? '' : ',\n'}${jsonText(recordDocument(record))}`
    : (record: PrintedRecord): string => `${recordLines(record, bytesMax).join('\n')}\n\n`
  let count = 0
  if (surroundings.json) await surroundings.write('[\n')
  outer: for await (const group of records) {
    const pieces: string[] = []
    for (const record of group) {
      const printed = selectRecord(readRecord(record), selection)
      if (printed === undefined) continue
      pieces.push(text(printed, count++))
      if (count >= selection.limit) {
        await surroundings.write(pieces.join(''))
        break outer
      }
    }
    if (pieces.length > 0) await surroundings.write(pieces.join(''))
  }
  if (surroundings.json) await surroundings.write('\n]\n')
}

/** Segment by segment from the end: what is held in memory is one segment. */
async function* backwards(
  directory: string,
  selection: Selection,
  signal: AbortSignal,
): AsyncGenerator<readonly LogRecord[]> {
  const segments = await listSegments(directory)
  for (const { firstLsn, lastLsn } of segments.toReversed()) {
    const fromLsn = Math.max(firstLsn, selection.beginLsn)
    const throughLsn = Math.min(lastLsn, selection.endLsn)
    if (fromLsn > throughLsn) continue
    const groups: LogRecord[][] = []
    for await (const group of readLog({ directory, fromLsn, throughLsn, signal })) groups.push(group)
    for (const group of groups.reverse()) yield group.reverse()
  }
}
