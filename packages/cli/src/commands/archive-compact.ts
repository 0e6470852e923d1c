import { compactLog, type CompactOutcome, type PlannedDelta, planDeltas } from '@timberline/recovery'
import type { Command } from '../command.ts'
import { columns, formatBytes, formatCount } from '../quantity.ts'
import { readableArchive } from '../archive-access.ts'

/** `timberline archive compact` */
export const archiveCompactCommand: Command = async (args, surroundings) => {
  const archive = await readableArchive(args.required('archive'), args)
  const blockSegments = args.number('block-segments')
  const blocks = blockSegments === undefined ? {} : { blockSegments }
  if (args.flag('plan')) {
    const planned = planDeltas(await archive.catalogue(), blocks)
    return {
      document: { archive: archive.store.url, planned: planned.map(summaryOf) },
      lines: planned.length === 0 ? [nothing] : columns(planned.map((one) => [placeOf(one), costOf(one)])),
    }
  }
  const scratch = args.text('scratch')
  const { outcomes, dropped, warnings } = await compactLog({
    archive,
    ...blocks,
    check: args.flag('check'),
    ...(scratch === undefined ? {} : { scratch }),
    signal: surroundings.signal,
    onProgress: ({ delta, done, total }) =>
      surroundings.tell(`delta ${String(done + 1)} of ${String(total)}: ${placeOf(delta)}`),
  })
  for (const name of dropped) surroundings.warn(`a delta was damaged or gone, and is made anew: ${name}`)
  for (const warning of warnings) surroundings.warn(warning)
  return {
    document: {
      archive: archive.store.url,
      outcomes: outcomes.map(({ planned, ...outcome }) => ({ ...summaryOf(planned), ...outcome })),
      dropped,
      warnings,
    },
    lines: outcomes.length === 0 ? [nothing] : columns(outcomes.map(outcomeRow)),
    // Log that cannot be read is a finding, as it is for `archive verify`.
    exitCode: outcomes.some(({ type }) => type === 'failed') ? 1 : 0,
  }
}

const nothing = 'nothing to compact'

const becauseOf = {
  size: 'not worth its space: hardly a key was written twice',
  'bulk-load': 'data was loaded beside the log',
} as const

function outcomeRow(outcome: CompactOutcome): readonly string[] {
  const place = placeOf(outcome.planned)
  switch (outcome.type) {
    case 'added': {
      const { entries, bytes } = outcome.delta
      return [place, costOf(outcome.planned), `now ${formatCount(entries)} keys, ${formatBytes(bytes)}`]
    }
    case 'declined':
      return [place, costOf(outcome.planned), `left as it is, ${becauseOf[outcome.reason]}`]
    case 'failed':
      return [place, costOf(outcome.planned), `FAILED: ${outcome.code} ${outcome.message}`]
  }
}

function placeOf({ timeline, firstLsn, lastLsn }: PlannedDelta): string {
  return `timeline ${String(timeline)}, LSN ${String(firstLsn)} to ${String(lastLsn)}`
}

function costOf({ firstLsn, lastLsn, segments }: PlannedDelta): string {
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  return `${formatCount(lastLsn - firstLsn + 1)} records in ${String(segments.length)} segments, ${formatBytes(bytes)}`
}

type Summary = Omit<PlannedDelta, 'segments'> & { readonly segments: number; readonly segmentBytes: number }

function summaryOf({ segments, ...planned }: PlannedDelta): Summary {
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  return { ...planned, segments: segments.length, segmentBytes: bytes }
}
