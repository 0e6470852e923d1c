/**
 * Fault model: the power fails at any operation of the engine's files while a real LevelDB on a real folder is written, cleared,
 * rolled, checkpointed, closed and opened again. What the disk then holds is drawn by seed, as the head of
 * `MirrorFileSystem` tells: our files by what was synced (`posix` and `ext4`); LevelDB's tables and MANIFEST by its promises, or
 * rolled back to what the port synced; LevelDB's own log whole, cut, zeroed, garbled, pierced or gone. Every third state is struck a
 * second time while it is being opened. Not modelled: damage of what was synced.
 *
 * Expected of each state, opened by plain Node on a plain folder: the content is exactly that of one prefix of the commits, with
 * every durably acknowledged one in it; its digest is the one computed from the definition; and writing goes on.
 *
 * Replay: the seed that a failure names chooses the load and all outcomes but for the timing of LevelDB's threads.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { FaultFileSystem, isMutation, MirrorFileSystem, seededRandom } from '@timberline/wal/testing'
import type { CrashImage, PowerLoss, Random } from '@timberline/wal/testing'
import { digestOf, sorted } from './content.ts'
import { NUMBER_KEY, NumberedWriter, openNumbered } from './numbered-writer.ts'
import { ScratchDisk } from './scratch-disk.ts'

const STEPS = 70
const MOMENTS_PER_STEP = 6

/** The corners of what a disk may do; the rest is drawn. */
const CORNERS: readonly PowerLoss[] = [
  { writes: 'lost', names: 'lost', leveldb: 'synced' },
  { writes: 'lost', names: 'lost', leveldb: 'promised', ownLog: 'kept' },
  { writes: 'kept', names: 'lost', leveldb: 'synced', ownLog: 'pierced' },
  { writes: 'lost', names: 'kept', leveldb: 'synced', ownLog: 'garbled' },
  { writes: 'kept', names: 'kept', leveldb: 'promised', ownLog: 'pierced' },
  { writes: 'zeroed', names: 'any', leveldb: 'synced', ownLog: 'zeroed' },
]

const AHEAD: PowerLoss = { writes: 'lost', names: 'lost', leveldb: 'promised' }

interface Moment {
  readonly image: CrashImage
  readonly acknowledged: number
  readonly begun: number
  readonly where: string
}

class Tally {
  readonly counts = new Map<string, number>()

  add(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  get(what: string): number {
    return this.counts.get(what) ?? 0
  }

  toString(): string {
    return [...this.counts].map(([what, count]) => `${what} ${String(count)}`).join(', ')
  }
}

/** Lives of databases, one after the other; each is checked at many moments. */
export class PowerLives {
  readonly tally = new Tally()
  readonly #scratch = new ScratchDisk('timberline-power-')

  /** Removes all that is left on the disk. */
  end(): void {
    this.#scratch.remove()
  }

  /** One database under load; captures moments as it goes and checks them after each step. */
  async live(seed: number, model: 'posix' | 'ext4'): Promise<void> {
    const random = seededRandom(seed)
    const folder = this.#scratch.make()
    const home = join(folder, 'home')
    const mirror = new MirrorFileSystem(folder, { model, seed })
    await mirror.makeDirectory(home)
    await mirror.syncDirectory(folder)
    const writer = new NumberedWriter(seed)
    const preallocateBytes = model === 'posix' ? 0 : 16 * 1024
    let moments: Moment[] = []
    let step = 'open'
    let due = 0
    const momentOf = (loss: PowerLoss, before: string): Moment => ({
      image: mirror.capture(loss),
      acknowledged: writer.acknowledged,
      begun: writer.contents.length - 1,
      where: `life ${String(seed)}, ${model}, after ${step}, before ${before}`,
    })
    const faulty = new FaultFileSystem(mirror, (operation) => {
      if (moments.length >= MOMENTS_PER_STEP || !isMutation(operation)) return undefined
      // Few operations concern LevelDB's folder and its checkpoints, and they are where most can go wrong.
      due -= /\/(data|checkpoint)/.test(operation.path) ? 6 : 1
      if (due <= 0) {
        moments.push(momentOf(drawLoss(random), `${operation.kind} ${operation.path.slice(folder.length)}`))
        due = 1 + random.integer(16)
      }
      return undefined
    })
    let db = openNumbered(home, { fileSystem: faulty, preallocateBytes })
    await db.open()
    for (let count = 0; count < STEPS; count += 1) {
      if (random.chance(0.04)) {
        await db.close()
        db = openNumbered(home, { fileSystem: faulty, preallocateBytes })
        await db.open()
        step = 'reopening'
      } else step = await writer.step(db)
      // LevelDB may have flushed what the log has not made durable: its state is then ahead of what the log will say.
      if (step === 'lazy')
        moments.push(momentOf({ ...AHEAD, seed: random.integer(0x7fffffff) }, 'the end of it'))
      this.tally.add(`after ${step}`)
      for (const moment of moments) await this.#check(moment, writer, random)
      moments = []
    }
    await db.close()
    await faulty.releaseHandles()
    rmSync(folder, { recursive: true })
  }

  /** Opens a state and holds it against the commits; every so often the power fails once more while it is opened. */
  async #check(moment: Moment, writer: NumberedWriter, random: Random): Promise<void> {
    let { image } = moment
    let where = `${moment.where}, loss ${image.loss}`
    if (random.integer(3) === 0) {
      image = await this.#strikeTheOpening(image, random)
      where += `, again while it was opened, loss ${image.loss}`
      this.tally.add('struck twice')
    }
    const folder = this.#scratch.make()
    image.writeTo(folder)
    const db = openNumbered(join(folder, 'home'))
    await db.open().catch((error: unknown) => {
      throw new Error(`the state does not open: ${where}; it has ${image.paths.join(' ')}`, { cause: error })
    })
    this.tally.add('states')
    const state = db.opened?.state
    this.tally.add(state?.rebuilt === true ? `rebuilt (${state.reason ?? ''})` : 'opened as they were')
    const found = await db.iterator().all()
    const n = prefixOf(found, writer)
    assert(
      n >= moment.acknowledged,
      `commit ${String(moment.acknowledged)} is lost, state ${String(n)}: ${where}`,
    )
    assert(n <= moment.begun, `state ${String(n)} is ahead of the commits: ${where}`)
    assert.equal((await db.digest()).hex, digestOf(writer.contents[n] ?? new Map()), where)
    await db.put('goes on', 'yes')
    await db.close()
    rmSync(folder, { recursive: true })
  }

  /** The same state after the power failed again at a random operation of its opening. */
  async #strikeTheOpening(image: CrashImage, random: Random): Promise<CrashImage> {
    const folder = this.#scratch.make()
    image.writeTo(folder)
    const mirror = await MirrorFileSystem.over(folder, { model: random.chance(0.5) ? 'posix' : 'ext4' })
    const strikeAt = 1 + random.integer(60)
    const loss = drawLoss(random)
    let struck: CrashImage | undefined
    const faulty = new FaultFileSystem(mirror, ({ index }) => {
      if (index < strikeAt) return undefined
      struck ??= mirror.capture(loss)
      return 'crash'
    })
    const db = openNumbered(join(folder, 'home'), { fileSystem: faulty })
    await db.open().catch(() => undefined)
    struck ??= mirror.capture(loss)
    faulty.inject(() => 'crash')
    await db.close().catch(() => undefined)
    await faulty.releaseHandles()
    rmSync(folder, { recursive: true })
    return struck
  }
}

/** The faults must have surfaced: states were opened as they were, others had to be rebuilt, some were struck twice. */
export function expectStruck(tally: Tally): void {
  assert(tally.get('opened as they were') > 20)
  for (const reason of ['unopenable', 'ahead']) assert(tally.get(`rebuilt (${reason})`) > 0, reason)
  assert(tally.get('struck twice') > 20)
}

/** Which prefix a content is; −1 when it is none. Commits that change nothing have the content of the one before. */
function prefixOf(found: readonly (readonly [string, string])[], writer: NumberedWriter): number {
  const content = new Map(found)
  const numbered = Number(content.get(NUMBER_KEY) ?? 0)
  const text = JSON.stringify(sorted(content))
  for (let n = writer.contents.length - 1; n >= numbered; n -= 1) {
    if (JSON.stringify(sorted(writer.contents[n] ?? new Map())) === text) return n
  }
  return -1
}

function drawLoss(random: Random): PowerLoss {
  const seed = random.integer(0x7fffffff)
  const corner = CORNERS[random.integer(CORNERS.length * 2)]
  return { ...corner, seed }
}
