import { readBackupDue } from '@timberline/engine'

/** Whether a home asks for a full backup, as of the last look; looks are cheap, and do not hold up who asks. */
export class BackupDueLook {
  readonly #home: string
  #isDue = false
  #isLooking = false

  constructor(home: string) {
    this.#home = home
  }

  /** What the last look saw; begins the next one. */
  get isDue(): boolean {
    if (!this.#isLooking) void this.look()
    return this.#isDue
  }

  async look(): Promise<void> {
    this.#isLooking = true
    try {
      this.#isDue = (await readBackupDue(this.#home)) !== undefined
    } catch {
      // A mark that cannot be read was set all the same.
      this.#isDue = true
    }
    this.#isLooking = false
  }
}
