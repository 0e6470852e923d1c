/**
 * What the matrix knows of an operation. A scenario is one entry of a table (`scenarios.ts`): to have a new operation tried
 * with every fault at every one of its file operations, add one.
 */
import type { FileSystem } from '@timberline/wal'
import type { Promises } from './promises.ts'

/** What work runs on: the files as this machine sees them, and what it has promised to whom. */
export interface Machine {
  readonly fileSystem: FileSystem
  /** The same files for the eyes of the test, which no fault strikes. */
  readonly beneath: FileSystem
  /** Folder that holds everything of the scenario. */
  readonly root: string
  readonly promises: Promises
}

/** Work that faults strike. */
export interface Act {
  /** Resolves when the caller was told of success. */
  run(): Promise<void>
  /** Lets go of memory, locks and handles after any outcome, as the end of a process does. */
  abandon(): Promise<void>
}

export interface Scenario {
  readonly name: string
  /**
   * `simulated disk`: all files lie on it, so that a crash is a power loss in all its outcomes. `folders`: LevelDB's own files
   * are real, so that a crash is the death of the process: what was written stays, whatever was still to come does not.
   */
  readonly over: 'simulated disk' | 'folders'
  /** What the operation finds; made once, and copied for every trial. */
  prepare(machine: Machine): Promise<void>
  /** Readies the operation, without faults. */
  begin(machine: Machine): Promise<Act>
  /** What is done next on a healthy machine: also faults during the recovery strike here. */
  again(machine: Machine): Act
  /** Throws unless everything that was promised is there, nothing else is, and the work goes on. */
  check(machine: Machine): Promise<void>
  /** Trials of this scenario that may run at once because they spend their time waiting; default 1. */
  readonly lanes?: number
  /** Part of the default run's time, against 1 for the others. */
  readonly weight?: number
}

/** An act that holds nothing. */
export function plainAct(run: () => Promise<unknown>): Act {
  return {
    run: async () => {
      await run()
    },
    abandon: () => Promise.resolve(),
  }
}
