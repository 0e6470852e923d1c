// The same to whoever quiesced a home: the program that has it open, or another process.
import type { PauseInfo, PauseReport } from '../commit/commit-pause.ts'

/** A home whose commits wait. */
export interface Quiesced extends PauseInfo {
  /**
   * Lets commits go on.
   *
   * @throws ENGINE_QUIESCE_ENDED when it had ended by itself: what was copied meanwhile may not be consistent
   */
  resume(): Promise<PauseReport>
}
