import { bisect, type BisectReport } from '@timberline/recovery'
import type { Command } from '../command.ts'
import { formatInstant, formatPoint } from '../instant.ts'
import { columns } from '../quantity.ts'
import { jsonText } from '../readable.ts'
import { readableArchive } from '../archive-access.ts'

/** `timberline bisect`: which transaction broke it. */
export const bisectCommand: Command = async (args, { signal, tell }) => {
  const archive = await readableArchive(args.required('archive'), args)
  const [badLsn, timeline] = [args.number('bad'), args.number('timeline')]
  const scratch = args.text('scratch')
  try {
    const report = await bisect({
      archive,
      check: args.required('check'),
      goodLsn: args.number('good') ?? 0,
      ...(badLsn === undefined ? {} : { badLsn }),
      ...(timeline === undefined ? {} : { timeline }),
      ...(scratch === undefined ? {} : { scratch }),
      signal,
      onStep: ({ lsn, committedAtUs, isGood, exitCode }) =>
        tell(`${formatPoint(lsn, committedAtUs)}: ${isGood ? 'good' : `bad, exit code ${String(exitCode)}`}`),
    })
    return { document: report, lines: linesOf(report) }
  } finally {
    await archive.close()
  }
}

function linesOf({ archive, timeline, firstBad, steps }: BisectReport): readonly string[] {
  const { lsn, committedAtUs, kind, operations, meta } = firstBad
  const size = operations === undefined ? [] : [`${String(operations)} operations`]
  const what = [
    ...(kind === undefined ? [] : [kind]),
    ...size,
    ...(meta === undefined ? [] : [jsonText(meta)]),
  ]
  const line = `--timeline ${String(timeline)}`
  return columns([
    ['first bad', `LSN ${String(lsn)}, ${formatInstant(committedAtUs)}`],
    ...(what.length === 0 ? [] : [['it is', what.join(', ')]]),
    ['looked at', `${String(steps.length)} states`],
    [
      'without it',
      `timberline recover --from ${archive} -h NEW-HOME --until-lsn ${String(lsn)} --before ${line}`,
    ],
  ])
}
