/** Keys that the numbered commits write to. */
const KEYS = 200

/** The commit with this number: a few keys, and which number comes next. */
export function commitOf(
  number: number,
): ({ type: 'put'; key: string; value: string } | { type: 'del'; key: string })[] {
  const key = (offset: number): string => `key${String((number * 7 + offset * 13) % KEYS).padStart(3, '0')}`
  return [
    { type: 'put', key: key(0), value: `${number}`.repeat(1 + (number % 40)) },
    { type: 'put', key: key(1), value: `${number}!` },
    ...(number % 5 === 0 ? [{ type: 'del' as const, key: key(2) }] : []),
    { type: 'put', key: 'next', value: String(number + 1) },
  ]
}

/** The state after commits 1 to `count`. */
export function stateAfter(count: number): Map<string, string> {
  const state = new Map<string, string>()
  for (let number = 1; number <= count; number += 1) {
    for (const operation of commitOf(number)) {
      if (operation.type === 'put') state.set(operation.key, operation.value)
      else state.delete(operation.key)
    }
  }
  return state
}
