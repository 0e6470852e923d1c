/** A promise and the means to settle it; `Promise.withResolvers` came only after Node 20. */
export class Deferred<Value> {
  readonly promise: Promise<Value>
  #resolve: (value: Value) => void = () => undefined
  #reject: (error: unknown) => void = () => undefined

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  resolve(value: Value): void {
    this.#resolve(value)
  }

  reject(error: unknown): void {
    this.#reject(error)
  }
}
