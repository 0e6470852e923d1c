/**
 * What a backup asks of the process that has the home open: to seal the log file that it writes, and what its commits waited
 * meanwhile. Neither is needed for a backup that can be recovered, so nobody there, a refusal and silence are all the same to it, and
 * are told as events. An owner that was silent once is not asked again: it may be stopped, and each question would wait as long.
 */
import { controlCall, meterCommits } from '@timberline/engine'
import type { MeteredCommits, WriterReport } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import type { HotbackupListener } from './events.ts'

/** The log file that the owner of a home sealed for a backup; the log goes on in the next one. */
export interface SealedLog {
  readonly segmentNumber: number
  /** Its last record. */
  readonly lsn: number
}

/** The owner of a home, if there is one, for the length of a backup. */
export interface Owner {
  /** Has the active log file sealed; `undefined` when it was not. */
  seal(): Promise<SealedLog | undefined>
  /** What commits waited since the beginning; `undefined` when nobody can tell. */
  writers(): Promise<WriterReport | undefined>
  close(): void
}

interface OwnerOptions {
  readonly home: string
  readonly onEvent: HotbackupListener
  /** How long each answer is waited for, in milliseconds. */
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 5000
const NOBODY = 'nobody listens on the control socket of the home'

/** Begins to meter what commits wait, if the home has an owner that answers; its first answer is waited for when it is asked something. */
export function meetOwner(options: OwnerOptions): Owner {
  const { home, timeoutMs = TIMEOUT_MS } = options
  return new AskedOwner(options, meterCommits(home, { timeoutMs }).catch(reasonOf))
}

class AskedOwner implements Owner {
  readonly #options: OwnerOptions
  /** What it meters, or why it does not. */
  readonly #met: Promise<MeteredCommits | string>
  /** Why the owner, which did answer once, is asked no more. */
  #reason: string | undefined

  constructor(options: OwnerOptions, met: Promise<MeteredCommits | string>) {
    this.#options = options
    this.#met = met
  }

  async seal(): Promise<SealedLog | undefined> {
    const { home, onEvent, timeoutMs = TIMEOUT_MS } = this.#options
    try {
      await this.#metered()
      const sealed = sealedLog(await controlCall(home, { type: 'switch' }, { timeoutMs }))
      if (sealed === undefined) throw new Error('the log has no record yet')
      onEvent({ type: 'log.sealed', ...sealed })
      return sealed
    } catch (error) {
      if (error instanceof TimberlineError && error.code === 'ENGINE_CONTROL_FAILED')
        this.#reason = reasonOf(error)
      onEvent({ type: 'log.unsealed', reason: reasonOf(error) })
      return undefined
    }
  }

  async writers(): Promise<WriterReport | undefined> {
    const { onEvent } = this.#options
    try {
      const meter = await this.#metered()
      const report = await meter.report()
      onEvent({ type: 'writers.metered', ...report })
      return report
    } catch (error) {
      onEvent({ type: 'writers.unmetered', reason: reasonOf(error) })
      return undefined
    }
  }

  close(): void {
    void this.#met.then((met) => typeof met === 'string' || met.close())
  }

  async #metered(): Promise<MeteredCommits> {
    const met = await this.#met
    if (typeof met === 'string' || this.#reason !== undefined)
      throw new Error(typeof met === 'string' ? met : this.#reason)
    return met
  }
}

/** An active file without records is not sealed: the one before it is, and the log goes on where it should. */
function sealedLog(reply: unknown): SealedLog | undefined {
  const {
    header,
    lastLsn: lsn,
    sealed,
  } = reply as {
    readonly header: { readonly segmentNumber: number }
    readonly lastLsn: number
    readonly sealed: boolean
  }
  const segmentNumber = sealed ? header.segmentNumber : header.segmentNumber - 1
  return segmentNumber === 0 ? undefined : { segmentNumber, lsn }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof TimberlineError)) return error instanceof Error ? error.message : String(error)
  return error.code === 'ENGINE_NOT_RUNNING' ? NOBODY : `${error.code} ${error.message}`
}
