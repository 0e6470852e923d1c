import { type Arguments, type OptionRow, wholeNumber } from '../arguments.ts'

/** What `hotbackup` takes to write volumes; the bounds of each are the package's to say. */
export const volumeOptions: readonly OptionRow[] = [
  {
    name: 'prefix',
    value: 'P',
    help: 'back up into volumes P1.bp, P2.bp, …; later calls add only what is new',
  },
  {
    name: 'volume-pages',
    value: 'N',
    help: 'pages of 8 KiB in a volume at most, before compression (100 or more)',
    parse: wholeNumber('a number of pages', { min: 0 }),
  },
  {
    name: 'dirs',
    value: 'A,B,C',
    help: 'folders for volumes; when the disk of one is full, the next one is used',
  },
  {
    name: 'parity',
    value: 'K',
    help: 'one parity volume for each K volumes, any one of which may then be lost or damaged',
    parse: wholeNumber('a number of volumes', { min: 1 }),
  },
  { name: 'new-series', help: 'begin anew with a full backup, under a new prefix' },
]

/** Complains about options of volumes that do not go together. */
export function volumesComplaint(args: Arguments): string | undefined {
  if (!args.has('prefix')) {
    const stray = volumeOptions.find(({ name }) => args.has(name))
    return stray === undefined ? undefined : `--${stray.name} needs --prefix`
  }
  const isWhole = args.has('volume-pages') && args.has('dirs')
  return isWhole ? undefined : '--prefix needs --volume-pages and --dirs'
}
