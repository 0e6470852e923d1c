// `--sample 5%` or `--sample 100`: a share of the objects of an archive, or a number of them.
import { randomBytes } from 'node:crypto'
import type { VerifySample } from '@timberline/archive'
import type { Arguments } from './arguments.ts'
import { cliError } from './errors.ts'

const shape = /^(?:(?<share>\d+(?:\.\d+)?)%|(?<count>\d+))$/

/** Passes the text of a sample through. @throws CLI_USAGE */
export function checkedSample(text: string): string {
  sizeOf(text)
  return text
}

/** The sample that a command line asks for, with a seed that can be given again; absent when everything is to be read. */
export function sampleFrom(args: Arguments): VerifySample | undefined {
  const text = args.text('sample')
  if (text === undefined) return undefined
  return { ...sizeOf(text), seed: args.text('seed') ?? randomBytes(4).toString('hex') }
}

function sizeOf(text: string): { readonly share: number } | { readonly count: number } {
  const { share, count } = shape.exec(text)?.groups ?? {}
  if (share !== undefined && Number(share) > 0 && Number(share) <= 100) return { share: Number(share) / 100 }
  if (count !== undefined && Number(count) > 0) return { count: Number(count) }
  throw cliError('CLI_USAGE', `'${text}' is not a sample; write 5% or 100`)
}
