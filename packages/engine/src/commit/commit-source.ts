import { Observable } from 'rxjs'
import type { CommitFeed, CommittedTransaction } from './commits.ts'

/** The part of a database that tells whether it is open. */
interface Openable {
  readonly status: string
  open(options: object): Promise<void>
}

/** The commits of a database; subscribing while it opens waits for it. */
export function commitsOf(
  level: Openable,
  feed: () => CommitFeed,
  fromLsn: number | undefined,
): Observable<CommittedTransaction> {
  return new Observable((subscriber) => {
    const begin = (): void => {
      subscriber.add(feed().from(fromLsn).subscribe(subscriber))
    }
    if (level.status === 'opening') {
      level
        .open({ passive: true })
        .then(begin)
        .catch((error: unknown) => {
          subscriber.error(error)
        })
    } else begin()
  })
}
