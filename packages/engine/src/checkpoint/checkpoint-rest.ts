// A turn in the queue of checkpoints that does nothing, for as long as it is wanted: what comes behind it waits.

/** Nothing of checkpoints and log changes from `begun` until `end`. */
export interface CheckpointRest {
  /** Resolves when what was under way has ended. @throws ENGINE_CLOSED */
  readonly begun: Promise<void>
  /** Idempotent. */
  end(): void
}

/** Takes a turn by `enqueue`; `pause` runs at its beginning, `goOn` at its end. */
export function restIn(
  enqueue: (work: () => Promise<void>) => Promise<void>,
  { pause, goOn }: { readonly pause: () => Promise<void>; readonly goOn: () => void },
): CheckpointRest {
  let begin: () => void = () => undefined
  let end: () => void = () => undefined
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const reached = new Promise<void>((resolve) => {
    begin = resolve
  })
  const turn = enqueue(async () => {
    await pause()
    begin()
    await ended
    goOn()
  })
  // The turn ends long after it began; that it could not begin is all that it can tell.
  return { begun: Promise.race([reached, turn]), end }
}
