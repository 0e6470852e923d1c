const NAME = /^log\.(\d{10})$/

/** Segment numbers have ten digits in names. */
export const SEGMENT_NUMBER_MAX = 9_999_999_999

/** The file name of a segment, as Berkeley DB spells it: `log.0000000001`. */
export function segmentName(number: number): string {
  return `log.${String(number).padStart(10, '0')}`
}

/** The number in a segment's file name; `undefined` for any other name. */
export function parseSegmentName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1]
  return digits === undefined || Number(digits) === 0 ? undefined : Number(digits)
}

/** The name under which a segment is made before it is renamed into place; a leftover of it is no segment. */
export function unfinishedSegmentName(number: number): string {
  return `${segmentName(number)}.new`
}

/** Whether a name is that of a segment still being made. */
export function isUnfinishedSegmentName(name: string): boolean {
  return name.endsWith('.new') && parseSegmentName(name.slice(0, -4)) !== undefined
}
