/**
 * Runs `work` over `items`, a bounded number at a time. After a failure no further item is begun, and it rejects with the
 * first error once the running ones have ended: nothing touches files any more when the caller cleans up.
 */
export async function inParallel<Item>(
  items: Iterable<Item>,
  atATime: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]()
  const errors: unknown[] = []
  const worker = async (): Promise<void> => {
    while (errors.length === 0) {
      const next = queue.next()
      if (next.done === true) return
      try {
        await work(next.value)
      } catch (error) {
        errors.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: atATime }, worker))
  if (errors.length > 0) throw errors[0]
}
