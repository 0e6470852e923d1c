// Counts what decoders ask memory for, at the moment they ask: a length believed before it is checked shows here at once and
// exactly, while the size of the process shows it late or, for untouched pages, never.

/** The largest single request for bytes, and the sum of all, since the last `reset`. */
export class AllocationMeter {
  largest = 0
  total = 0

  reset(): void {
    this.largest = 0
    this.total = 0
  }

  /** Counts until the returned function is called. */
  install(): () => void {
    const count = (bytes: unknown): void => {
      if (typeof bytes !== 'number') return
      this.largest = Math.max(this.largest, bytes)
      this.total += bytes
    }
    const undo = (['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const).map((name) => {
      // oxlint-disable-next-line typescript/unbound-method -- put back as it was
      const original: (bytes: number, ...more: never[]) => unknown = Buffer[name]
      Reflect.set(Buffer, name, (bytes: number, ...more: never[]): unknown => {
        count(bytes)
        return Reflect.apply(original, Buffer, [bytes, ...more])
      })
      return () => Reflect.set(Buffer, name, original)
    })
    const { ArrayBuffer: original } = globalThis
    globalThis.ArrayBuffer = new Proxy(original, {
      construct(target, given: unknown[], newTarget) {
        count(given[0])
        return Reflect.construct(
          target,
          given,
          newTarget === globalThis.ArrayBuffer ? target : newTarget,
        ) as object
      },
    })
    return () => {
      globalThis.ArrayBuffer = original
      for (const each of undo) each()
    }
  }
}
