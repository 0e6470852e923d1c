import { drill, formatDrill } from '@timberline/recovery'
import type { Command } from '../command.ts'
import { readableArchive } from '../archive-access.ts'
import { recoveryMeter } from './recovery-meter.ts'

/** `timberline drill` */
export const drillCommand: Command = async (args, surroundings) => {
  const archive = await readableArchive(args.required('archive'), args)
  const [scratch, check, home] = ['scratch', 'check', 'home'].map((name) => args.text(name))
  const meter = recoveryMeter(surroundings)
  try {
    const report = await drill({
      archive,
      keep: args.flag('keep'),
      signal: surroundings.signal,
      onProgress: meter.update,
      ...(scratch === undefined ? {} : { scratch }),
      ...(check === undefined ? {} : { check }),
      ...(home === undefined ? {} : { home }),
    })
    return { document: report, lines: formatDrill(report), exitCode: report.passed ? 0 : 1 }
  } finally {
    meter.end()
  }
}
