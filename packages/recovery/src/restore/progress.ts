/** What a running recovery has done so far. */
export interface RecoveryProgress {
  readonly phase: 'restore' | 'resolve' | 'replay' | 'digest' | 'checkpoint'
  /** Bytes of the base written, of those to write. */
  readonly baseBytes: number
  readonly baseBytesTotal: number
  /** Log records replayed, of those to replay (an upper bound until a time is resolved). */
  readonly records: number
  readonly recordsTotal: number
  /** An estimate from the rates seen so far, before those from usual rates. */
  readonly secondsLeft: number
}

/** Rates to begin with, until the recovery's own are known: a slow disk, small transactions. */
const usualRates = { baseBytesPerS: 100e6, recordsPerS: 100e3 } as const

/** Below this much elapsed time a measured rate is noise. */
const measurableMs = 250

/** Keeps the numbers of one recovery and tells them to the caller, never more often than ten times a second. */
export class ProgressMeter {
  #phase: RecoveryProgress['phase'] = 'restore'
  #baseBytes = 0
  #records = 0
  #recordsAtPhase = 0
  #recordsTotal: number
  #phaseBeganAt = performance.now()
  #saidAt = 0
  #rates: { baseBytesPerS: number; recordsPerS: number } = { ...usualRates }
  readonly #baseBytesTotal: number
  readonly #onProgress: ((progress: RecoveryProgress) => void) | undefined

  constructor(
    totals: { readonly baseBytes: number; readonly records: number },
    onProgress: ((progress: RecoveryProgress) => void) | undefined,
  ) {
    this.#baseBytesTotal = totals.baseBytes
    this.#recordsTotal = totals.records
    this.#onProgress = onProgress
  }

  begin(phase: RecoveryProgress['phase']): void {
    this.#phase = phase
    this.#phaseBeganAt = performance.now()
    this.#recordsAtPhase = this.#records
    this.#say(true)
  }

  addBaseBytes(bytes: number): void {
    this.#baseBytes += bytes
    const elapsedMs = performance.now() - this.#phaseBeganAt
    if (elapsedMs > measurableMs) this.#rates.baseBytesPerS = (this.#baseBytes / elapsedMs) * 1000
    this.#say(false)
  }

  setRecordsTotal(records: number): void {
    this.#recordsTotal = records
  }

  setRecords(records: number): void {
    const elapsedMs = performance.now() - this.#phaseBeganAt
    const inPhase = records - this.#recordsAtPhase
    if (elapsedMs > measurableMs && inPhase > 0) this.#rates.recordsPerS = (inPhase / elapsedMs) * 1000
    this.#records = records
    this.#say(false)
  }

  #say(always: boolean): void {
    if (this.#onProgress === undefined) return
    const now = performance.now()
    if (!always && now - this.#saidAt < 100) return
    this.#saidAt = now
    const bytesLeft = Math.max(0, this.#baseBytesTotal - this.#baseBytes)
    const recordsLeft = Math.max(0, this.#recordsTotal - this.#records)
    this.#onProgress({
      phase: this.#phase,
      baseBytes: this.#baseBytes,
      baseBytesTotal: this.#baseBytesTotal,
      records: this.#records,
      recordsTotal: this.#recordsTotal,
      secondsLeft: bytesLeft / this.#rates.baseBytesPerS + recordsLeft / this.#rates.recordsPerS,
    })
  }
}
