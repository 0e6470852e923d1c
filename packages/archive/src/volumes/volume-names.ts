// Names of volumes: `<prefix><n>.bp`, and while their call is being written `<prefix><n>.bp.<pid>.part`. FORMAT.md#volumes.

const PREFIX_MAX = 200
const NUMBER_MAX = 999_999_999

/** What a name in a folder of volumes says. */
export type VolumeName =
  | { readonly type: 'volume'; readonly volume: number; readonly writerPid: number | undefined }
  | {
      readonly type: 'parity'
      readonly first: number
      readonly last: number
      readonly writerPid: number | undefined
    }

/** Why a text cannot be the prefix of volumes; `undefined` when it can. */
export function prefixComplaint(prefix: string): string | undefined {
  if (prefix.length === 0) return 'it needs at least one character'
  if (prefix.length > PREFIX_MAX) return `it has more than ${String(PREFIX_MAX)} characters`
  if (/[/\\\0]/.test(prefix)) return 'it holds a path separator'
  if (prefix.includes('..')) return 'it holds ".."'
  // Else `z1` and `z` would both have a `z12.bp`.
  if (/\d$/.test(prefix))
    return `it ends in a digit, which would run into the number of the volume; "${prefix}_" would do`
  return undefined
}

/** The name of a volume that counts. */
export function volumeName(prefix: string, volume: number): string {
  return `${prefix}${String(volume)}.bp`
}

/** The name of the parity volume that stands for these volumes. */
export function parityName(prefix: string, { first, last }: { first: number; last: number }): string {
  return `${prefix}${String(first)}-${String(last)}.parity`
}

/** The name of a file that does not count yet. */
export function partName(name: string, pid: number): string {
  return `${name}.${String(pid)}.part`
}

/** What a name is among those of this prefix; `undefined` for any other name. */
export function parseVolumeName(prefix: string, name: string): VolumeName | undefined {
  if (!name.startsWith(prefix)) return undefined
  const match = /^([1-9]\d{0,8})(?:\.bp|-([1-9]\d{0,8})\.parity)(?:\.([1-9]\d{0,9})\.part)?$/.exec(
    name.slice(prefix.length),
  )
  if (match === null) return undefined
  const [, first, last, pid] = match
  const writerPid = pid === undefined ? undefined : Number(pid)
  if (last === undefined) return { type: 'volume', volume: Number(first), writerPid }
  return Number(first) <= Number(last) && Number(last) <= NUMBER_MAX
    ? { type: 'parity', first: Number(first), last: Number(last), writerPid }
    : undefined
}
