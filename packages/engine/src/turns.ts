/**
 * Long lists, a piece at a time. A checkpoint goes through all tables of a database several times, and commits share the thread with it: of
 * 50,000 tables (100 GB) a sort or a set alone takes ten milliseconds.
 */

/** Of table lists, what takes a fraction of a millisecond. */
const TURN_ITEMS = 1000

/** Does something short for each item; after each piece of them everybody else has a turn of the loop. */
export async function inTurns<Item>(items: Iterable<Item>, work: (item: Item) => void): Promise<void> {
  let done = 0
  for (const item of items) {
    work(item)
    done += 1
    if (done % TURN_ITEMS === 0) await nextTurn()
  }
}

/** Resolves after everything that is ready now has had its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
