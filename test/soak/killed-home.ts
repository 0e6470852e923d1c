/**
 * A home whose writers are killed one after the other, with its archive and its model; and the looks at it that follow each kill. A
 * look that finds something wrong throws, in words; the folder is then left where it is.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createArchive, directoryStore, openArchive, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup, verifyBackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { writeConfirmation } from '@timberline/wal'
import type { Random } from '@timberline/wal/testing'
import { difference } from '../../packages/hotbackup/test/history.ts'
import { digestOf } from '../support/running-application.ts'
import { KillModel, numberIn, type Way } from './kill-steps.ts'
import { seed } from './soak-share.ts'
import { type Moment, Victim } from './victim.ts'

/** What was seen, over all homes. */
export const counts = {
  kills: 0,
  killsBesideWriter: 0,
  killsWhileOpening: 0,
  killsOfLate: 0,
  acknowledged: 0,
  unacknowledgedFound: 0,
  replayed: 0,
  digestsCompared: 0,
  backupsWhole: 0,
  backupsAbsent: 0,
  archivesRecovered: 0,
}

/** How often a writer was killed that wrote in each way. */
export const killsByWay = new Map<Way, number>()

/** What runs beside the writer, in a process of its own. */
const BESIDE: Readonly<Partial<Record<Way, 'shipper' | 'backup'>>> = {
  'a shipper beside, killed as well': 'shipper',
  'a hot backup beside, killed as well': 'backup',
}

/** Processes that were started ahead of their time. */
export class Waiting {
  readonly #writers = [new Victim('writer')]
  readonly #beside: Victim[] = []

  writer(): Victim {
    this.#writers.push(new Victim('writer'))
    return this.#writers.shift() ?? new Victim('writer')
  }

  beside(): Victim {
    return this.#beside.shift() ?? new Victim('beside')
  }

  /** Has one ready to run beside the next writer. */
  prepareBeside(): void {
    if (this.#beside.length === 0) this.#beside.push(new Victim('beside'))
  }

  async end(): Promise<void> {
    await Promise.all([...this.#writers, ...this.#beside].map((victim) => victim.kill()))
  }
}

/** One home with its archive, from its first step on. A failure leaves its folder where it is. */
export class KilledHome {
  readonly #random: Random
  readonly #victims: Waiting
  readonly #folder: string
  readonly #model = new KillModel()
  #n = 0

  private constructor(folder: string, random: Random, victims: Waiting) {
    this.#folder = folder
    this.#random = random
    this.#victims = victims
  }

  static async begin(random: Random, victims: Waiting): Promise<KilledHome> {
    const folder = await mkdtemp(join(tmpdir(), 'timberline-kills-'))
    const killed = new KilledHome(folder, random, victims)
    const { home, archive } = killed.#paths
    const db = new TimberLevel(home)
    await db.open()
    await db.close()
    const identity = await readHomeIdentity(home)
    const made = await createArchive(directoryStore(archive), identity)
    const { logDirectory } = homeLayout(home)
    await writeConfirmation(logDirectory, 'archive', {
      segmentNumber: 0,
      lsn: 0,
      timeline: identity.timeline,
    })
    await hotbackup({ home, target: { archive: made } })
    return killed
  }

  async end(): Promise<void> {
    await rm(this.#folder, { recursive: true })
  }

  get #paths(): { home: string; archive: string; target: string } {
    const inside = (name: string): string => join(this.#folder, name)
    return { home: inside('home'), archive: inside('archive'), target: inside('backup') }
  }

  /** One writer, killed, with whatever runs beside it; then the home is looked at. */
  async surviveOne(way: Way): Promise<void> {
    const after = this.#n
    this.#model.begin(after, way)
    await rm(this.#paths.target, { recursive: true, force: true })
    if (BESIDE[way] !== undefined) this.#victims.prepareBeside()
    const writer = this.#victims.writer()
    const order = { ...this.#paths, way, after }
    const deaths = [writer.liveUntil({ ...order, role: 'writer' }, this.#drawMoment(150))]
    const victims = [writer]
    const role = BESIDE[way]
    if (role !== undefined) {
      const beside = this.#victims.beside()
      victims.push(beside)
      deaths.push(beside.liveUntil({ ...order, role }, this.#drawMoment(role === 'backup' ? 3 : 1)))
    }
    await Promise.all(deaths)
    counts.kills += 1
    counts.killsBesideWriter += deaths.length - 1
    if (writer.lines.length === 0) counts.killsWhileOpening += 1
    counts.killsOfLate += victims.filter(({ isLate }) => isLate).length
    killsByWay.set(way, (killsByWay.get(way) ?? 0) + 1)
    const acknowledged = Math.max(after, writer.told)
    counts.acknowledged += acknowledged - after
    await this.#lookAtHome(acknowledged, way)
    if (role === 'backup') await this.#lookAtBackup(after)
  }

  #context(what: string): string {
    return `seed ${String(seed)}, ${what}, left in ${this.#folder}`
  }

  /** Early ones fall into the opening of the home, late ones into the work. */
  #drawMoment(linesMax: number): Moment {
    if (this.#random.chance(0.3)) return { afterMs: this.#random.next() * 120 }
    return { afterLines: 1 + this.#random.integer(linesMax), thenMs: this.#random.next() * 40 }
  }

  async #lookAtHome(acknowledged: number, way: Way): Promise<void> {
    const { home } = this.#paths
    const isCopied = counts.kills % 2 === 0
    const looked = isCopied ? join(this.#folder, 'copy') : home
    if (isCopied) {
      await cp(home, looked, { recursive: true, filter: (from) => !basename(from).startsWith('control.') })
    }
    const db = new TimberLevel(looked, { createIfMissing: false })
    await db.open()
    counts.replayed += db.opened?.state.replayed ?? 0
    const state = new Map(await db.iterator().all())
    const { hex } = await db.digest()
    await db.close()
    const n = this.#placeOf(state, acknowledged, `kill ${String(counts.kills)}, ${way}`)
    assert.equal(hex, digestOf(state), this.#context(`digest after kill ${String(counts.kills)}`))
    counts.digestsCompared += 1
    counts.unacknowledgedFound += n - acknowledged
    this.#n = n
    if (isCopied) await rm(looked, { recursive: true })
  }

  /** After which step this is the state; the test ends in words when there is none, or when it is too early. */
  #placeOf(state: ReadonlyMap<string, string>, atLeast: number, what: string): number {
    const told = numberIn(state)
    const context = this.#context(what)
    const candidates = [told, told + 1].filter((n) => n >= atLeast)
    const ends = `ends at ${String(told)}, acknowledged were ${String(atLeast)}`
    assert.notEqual(candidates.length, 0, `${context}: ${ends}`)
    const found = candidates.find((n) => difference(state, this.#model.at(n)) === undefined)
    if (found !== undefined) return found
    const differences = candidates.map((n) => `${String(n)}: ${difference(state, this.#model.at(n)) ?? ''}`)
    throw new Error(`${context}: no prefix: ${differences.join('; ')}`)
  }

  async #lookAtBackup(atLeast: number): Promise<void> {
    const { target } = this.#paths
    if (!existsSync(target)) {
      counts.backupsAbsent += 1
      return
    }
    assert.deepEqual(await verifyBackup(target), [], this.#context('a backup that appeared'))
    const home = join(this.#folder, 'from-backup')
    const n = await this.#recoverAndCompare({ backup: target }, { home, atLeast })
    assert.ok(n <= this.#n, this.#context('a backup holds more than its home'))
    counts.backupsWhole += 1
  }

  /** Ships the rest, recovers the latest, and compares it with what the home held. */
  async compareWithArchive(): Promise<void> {
    const { home } = this.#paths
    const archive = await openArchive(directoryStore(this.#paths.archive))
    // Opened once: what the log's end holds is decided then, as a user's next start would.
    const db = new TimberLevel(home, { createIfMissing: false })
    await db.open()
    const stop = new AbortController()
    const identity = await readHomeIdentity(home)
    const { logDirectory } = homeLayout(home)
    const shipper = runShipper({
      logDirectory,
      archive,
      identity,
      name: 'archive',
      intervalMs: 20,
      signal: stop.signal,
    })
    await Promise.race([shipper.flush(), shipper.done])
    stop.abort()
    await shipper.done
    await db.close()
    const recovered = join(this.#folder, 'from-archive')
    const n = await this.#recoverAndCompare({ archive }, { home: recovered, atLeast: this.#n })
    assert.equal(n, this.#n, this.#context('the archive lacks steps'))
    counts.archivesRecovered += 1
  }

  async #recoverAndCompare(
    from: Parameters<typeof recover>[0]['from'],
    { home, atLeast }: { home: string; atLeast: number },
  ): Promise<number> {
    const report = await recover({ from, home })
    const db = new TimberLevel(home, { createIfMissing: false })
    const state = new Map(await db.iterator().all())
    await db.close()
    const n = this.#placeOf(state, atLeast, `recovered after kill ${String(counts.kills)}`)
    assert.equal(report.digest?.hex, digestOf(state), this.#context('digest of a recovery'))
    await rm(home, { recursive: true })
    return n
  }
}
