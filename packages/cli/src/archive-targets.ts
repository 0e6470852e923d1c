// The archives that `archive run` is told of: one by its plain address, or several that each have a name. Help and every other command
// load this with the table of commands, so it loads nothing itself.
import type { Arguments } from './arguments.ts'

/** An archive as the command line names it. */
export interface ArchiveTarget {
  /** What the home calls it. */
  readonly name: string
  readonly url: string
}

/** A name, as the home takes them, before an address. Addresses begin otherwise: a path with `=` in its first part is written `./a=b`. */
const NAMED = /^([A-Za-z0-9][A-Za-z0-9_-]{0,63})=(.+)$/

/** What the home calls an archive when the user gave it no name; one archive needs none. */
export function archiveNameOf(args: Arguments): string {
  return args.text('name') ?? 'archive'
}

/** What `-a` says, as often as it stands there. */
export function archiveTargets(args: Arguments): readonly ArchiveTarget[] {
  return args.list('archive').map((text) => {
    const [, name = archiveNameOf(args), url = text] = NAMED.exec(text) ?? []
    return { name, url }
  })
}

/** Tells what is wrong with `-a` and `--name` together. */
export function targetsComplaint(args: Arguments): string | undefined {
  const texts = args.list('archive')
  const isNamed = texts.map((text) => NAMED.test(text))
  if (texts.length > 1 && isNamed.includes(false)) return 'several archives need names: -a NAME=ADDRESS'
  if (isNamed.includes(true) && args.has('name')) return '--name goes with one plain address'
  const targets = archiveTargets(args)
  if (new Set(targets.map(({ name }) => name)).size < targets.length) return 'two archives have one name'
  // Two shippers into one archive would take it from each other.
  if (new Set(targets.map(({ url }) => url)).size < targets.length) return 'two archives have one address'
  return undefined
}
