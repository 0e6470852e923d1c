import { drill } from '@timberline/recovery'
import type { Command } from '../command.ts'
import { jsonText } from '../readable.ts'
import { existingArchive } from './archive-access.ts'

/** `timberline drill` */
export const drillCommand: Command = async (args, surroundings) => {
  const archive = await existingArchive(args.required('archive'))
  const scratch = args.text('scratch')
  const check = args.text('check')
  const report = await drill({
    archive,
    signal: surroundings.signal,
    ...(scratch === undefined ? {} : { scratch }),
    ...(check === undefined ? {} : { check }),
  })
  return { document: report, lines: jsonText(report, 2).split('\n'), exitCode: report.passed ? 0 : 1 }
}
