import type { RetentionPromise } from '@timberline/archive'
import type { Arguments } from '../arguments.ts'
import { cliError } from '../errors.ts'
import { formatSpan, parseSpan } from '../span.ts'

/** The promise that a command line names; `undefined` when it names none. @throws CLI_USAGE */
export function promiseOf(args: Arguments): RetentionPromise | undefined {
  if (!args.has('instants') && !args.has('bases')) return undefined
  return { instantsUs: args.number('instants') ?? 0, bases: args.list('bases').map(basesOf) }
}

/** A promise in words. */
export function describePromise({ instantsUs, bases }: RetentionPromise): string {
  const parts = [
    ...(instantsUs === 0 ? [] : [`every instant of the last ${formatSpan(instantsUs)}`]),
    ...bases.map(
      ({ everyUs, spanUs }) => `one backup of each ${formatSpan(everyUs)} for ${formatSpan(spanUs)}`,
    ),
  ]
  return parts.length === 0 ? 'the newest backup' : parts.join(', ')
}

function basesOf(text: string): { readonly everyUs: number; readonly spanUs: number } {
  const [every = '', span = '', ...rest] = text.split('/')
  if (every === '' || span === '' || rest.length > 0) {
    throw cliError(
      'CLI_USAGE',
      `'${text}' is not EVERY/SPAN; write 1w/8w for one backup a week, for eight weeks`,
    )
  }
  return { everyUs: parseSpan(every), spanUs: parseSpan(span) }
}
