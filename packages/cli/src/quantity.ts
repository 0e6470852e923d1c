// Sizes, durations and counts for people; machines read --json, where they stay plain numbers.

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** `0 B`, `999 B`, `1.0 kB`, `12.3 MB`: powers of 1,000. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.95 && unit < byteUnits.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${byteUnits[unit] ?? 'TB'}`
}

/** `12 ms`, `3.4 s`, `2 min 05 s`, `1 h 02 min`. */
export function formatMs(ms: number): string {
  if (ms < 1000) return `${String(Math.round(ms))} ms`
  const seconds = ms / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${String(Math.floor(whole / 60))} min ${two(whole % 60)} s`
  return `${String(Math.floor(whole / 3600))} h ${two(Math.floor((whole % 3600) / 60))} min`
}

/** `1,234,567`. */
export function formatCount(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}

/** Rows as columns, two spaces apart; columns of figures are set to the right. */
export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const width = rows.reduce((most, row) => Math.max(most, row.length), 0)
  const figures = /^[\d.,]+( [a-zA-Z]+)?$/
  const layout = Array.from({ length: width }, (_, at) => {
    const cells = rows.map((row) => row[at] ?? '')
    const body = cells.slice(1).filter((cell) => cell !== '' && cell !== '-')
    return {
      width: cells.reduce((most, cell) => Math.max(most, cell.length), 0),
      isRight: body.length > 0 && body.every((cell) => figures.test(cell)),
    }
  })
  return rows.map((row) =>
    layout
      .map(({ width: cellWidth, isRight }, at) => {
        const cell = row[at] ?? ''
        return isRight ? cell.padStart(cellWidth) : cell.padEnd(cellWidth)
      })
      .join('  ')
      .trimEnd(),
  )
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}
