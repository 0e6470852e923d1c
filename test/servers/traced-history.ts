/** What the traced writer writes: the numbered transactions of the hot backup's tests. */
export const TRACED_COMMITS = 120
export const TRACED_SHAPE = { keyCount: 40, valueBytes: 200 }
