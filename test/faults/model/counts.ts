/** What a run of the model did, so that a test can show that it did something. */
export class Counts {
  readonly #counts = new Map<string, number>()

  add(what: string, by = 1): void {
    this.#counts.set(what, this.of(what) + by)
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0
  }

  /** All counts whose names begin so, by falling number. */
  text(prefix: string): string {
    const rows = [...this.#counts]
      .filter(([name]) => name.startsWith(prefix))
      .toSorted(([, a], [, b]) => b - a)
    return rows.map(([name, count]) => `${name.slice(prefix.length)} ${count}`).join(', ')
  }

  sum(prefix: string): number {
    return [...this.#counts].reduce((sum, [name, count]) => (name.startsWith(prefix) ? sum + count : sum), 0)
  }
}
