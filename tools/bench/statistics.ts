/** Small statistics over samples; medians and ratios are what the bench prints, since the machines are noisy. */

export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** Of samples taken side by side, one for each round that both have: drift of the machine hits both and cancels out. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.slice(0, theirs.length).map((value, round) => value / (theirs[round] ?? Number.NaN))
}

export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ratios(ours, theirs))
}

/** A line of a table: the median of some figures, and that of their ratios to others. */
export function comparedRow(
  title: string,
  figures: readonly number[],
  ratiosOfThem: readonly number[],
): readonly string[] {
  return [title, median(figures).toFixed(0), median(ratiosOfThem).toFixed(2)]
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
