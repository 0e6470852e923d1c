/**
 * Stops the program when something that cannot be is: a bug, not a condition a caller may handle, so no `TimberlineError`.
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`)
}
