import type { Fault, Injector } from './injector.ts'
import type { Operation } from './operation.ts'
import { SimulatedCrash } from './simulated-crash.ts'
import { systemError } from './system-error.ts'

/** A fault that struck, and the operation that it struck. */
export interface InjectedFault {
  readonly operation: Operation
  readonly fault: Fault
}

/** One operation to run: what it is, what it does, and what half of it or its failure does. */
export interface Course<Result> {
  readonly operation: Omit<Operation, 'index'>
  readonly work: () => Result
  /** What a `short` fault does before it fails. */
  readonly half?: () => unknown
  /** What a `short` fault gives instead, without any error. */
  readonly shortened?: () => Result
  /** What an `EIO` fault does to the file below. */
  readonly failed?: () => void
}

/** The list of operations and faults, and the one place where a fault becomes an error. */
export class FaultLedger {
  injector: Injector | undefined
  readonly operations: Operation[] = []
  readonly injected: InjectedFault[] = []
  #isCrashed = false

  constructor(injector: Injector | undefined) {
    this.injector = injector
  }

  get isCrashed(): boolean {
    return this.#isCrashed
  }

  async run<Result>(course: Course<Promise<Result>>): Promise<Result> {
    const begun = this.#begin(course)
    const shortened = begun.fault === 'short' ? course.shortened : undefined
    try {
      if (begun.fault === 'short') await course.half?.()
      if (!begun.isWorkDone && shortened === undefined) throw this.#errorOf(begun)
      const result = await (shortened ?? course.work)()
      // Nobody is told of a short answer but by its length.
      this.#end(shortened === undefined ? begun : { ...begun, fault: undefined })
      return result
    } catch (error) {
      throw this.#seen(error, begun)
    }
  }

  runNow<Result>(course: Course<Result>): Result {
    const begun = this.#begin(course)
    if (begun.fault === 'short') course.half?.()
    if (!begun.isWorkDone) throw this.#errorOf(begun)
    const result = course.work()
    this.#end(begun)
    return result
  }

  #begin(course: Course<unknown>): Begun {
    if (this.#isCrashed) throw new SimulatedCrash(`${course.operation.kind} ${course.operation.path}`)
    const operation = { index: this.operations.length + 1, ...course.operation }
    this.operations.push(operation)
    const fault = this.injector?.(operation)
    if (fault !== undefined) this.injected.push({ operation, fault })
    if (fault === 'crash') this.#isCrashed = true
    if (fault === 'EIO') course.failed?.()
    return {
      operation,
      fault,
      isWorkDone: fault === undefined || fault === 'EIO-after' || fault === 'crash-after',
    }
  }

  #end(begun: Begun): void {
    if (begun.fault === 'crash-after') this.#isCrashed = true
    if (begun.fault !== undefined || this.#isCrashed) throw this.#errorOf(begun)
  }

  /** An operation that was under way when another one crashed answers nobody any more, not even with its own error. */
  #seen(error: unknown, begun: Begun): unknown {
    return this.#isCrashed && !(error instanceof SimulatedCrash) ? this.#errorOf(begun) : error
  }

  #errorOf({ operation: { kind, path, to }, fault }: Begun): Error {
    if (this.#isCrashed) return new SimulatedCrash(`${kind} ${path}`)
    const site = { syscall: kind, path, dest: to }
    if (fault === 'short' || fault === 'ENOSPC') return systemError('ENOSPC', site)
    return systemError(fault === 'EMFILE' ? 'EMFILE' : 'EIO', site)
  }
}

interface Begun {
  readonly operation: Operation
  readonly fault: Fault | undefined
  readonly isWorkDone: boolean
}
