/**
 * What readers see of a database without an entry. It needs no LevelDB: so LevelDB can be closed while a load makes its tables,
 * and what was opened meanwhile holds nothing of it.
 */
import { AbstractIterator, AbstractSnapshot } from 'abstract-level'
import type { AbstractLevel } from 'abstract-level'
import type { AppliedPosition } from '../reserved-keys.ts'

/** abstract-level's declarations leave out what its classes are made with. */
const Snapshot = AbstractSnapshot as unknown as new (options: {
  readonly owner: AbstractLevel<unknown>
}) => AbstractSnapshot

/** A snapshot of a state that has no entry, at the position where it was so. */
export class EmptySnapshot extends Snapshot {
  readonly position: AppliedPosition

  constructor(position: AppliedPosition, owner: AbstractLevel<unknown>) {
    super({ owner })
    this.position = position
  }
}

/** An iterator that is at its end. */
export class EmptyIterator extends AbstractIterator<AbstractLevel<unknown>, unknown, unknown> {
  async _next(): Promise<undefined> {
    return undefined
  }

  _seek(): void {
    // From every place the end is next.
  }
}
