/**
 * Hot copies of a home whose owner writes, compacts, takes checkpoints, is killed at random and opened again. Each copy must
 * recover to a prefix of the transactions that holds at least every one acknowledged when its copy of the log began.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { controlCall } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { testProgram } from '../../../tools/test-programs.ts'
import { hotbackup, verifyBackup } from '../src/index.ts'
import { restored, withFolder } from './fixture.ts'
import { Model, difference } from './history.ts'
import type { Shape } from './history.ts'

export interface HotCopiesOptions {
  /** At least; more until the owner was killed often enough. */
  readonly copies: number
  readonly killsMin?: number
  /** Folder for the backups; default beside the home. */
  readonly targetFolder?: string
  readonly shape?: Shape
  /** Mean time between kills of the owner, in milliseconds; 0 = never. */
  readonly killEveryMs?: number
  /** Each so many copies also carry a digest, which is compared with one of the restored state. */
  readonly digestEvery?: number
}

export interface HotCopiesReport {
  readonly copies: number
  readonly kills: number
  readonly retried: number
  readonly lastTransaction: number
  readonly failures: readonly string[]
}

/** Whatever takes so long waits for something that does not come, and would say nothing of it for as long as a soak may take. */
const PATIENCE_MS = 300_000

/** Makes the copies one after the other and checks each; failures are told in words. */
export async function hotCopies(options: HotCopiesOptions): Promise<HotCopiesReport> {
  const {
    copies,
    killsMin = 0,
    shape = { keyCount: 300, valueBytes: 100 },
    killEveryMs = 1500,
    digestEvery = 5,
  } = options
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const target = join(options.targetFolder ?? folder, `copy-${process.pid}`)
    const owner = new Owner({ home, acknowledgedPath: join(folder, 'acknowledged') }, shape)
    const model = new Model(shape)
    const failures: string[] = []
    let retried = 0
    let lastTransaction = 0
    let copy = 0
    await owner.start()
    // A home without any checkpoint, whose owner is dead, cannot be copied, and says so.
    await controlCall(home, { type: 'checkpoint' })
    let ownerFailure: unknown
    const killer = (killEveryMs === 0 ? Promise.resolve() : owner.killAtRandom(killEveryMs)).catch(
      (error: unknown) => {
        ownerFailure = error
      },
    )
    try {
      while (copy < copies || owner.kills < killsMin) {
        copy += 1
        if (ownerFailure !== undefined) throw ownerFailure
        let atLeast = 0
        let reached = 'its begin'
        const digest = copy % digestEvery === 0
        const onEvent = (event: { type: string }): void => {
          reached = event.type
          if (event.type === 'log.begun') atLeast = owner.acknowledged()
        }
        const where = (): string => `copy ${copy}, ${owner.kills} kills: nothing came after ${reached}`
        // Pauses between all steps of every other copy widen every race with the owner.
        const fileSystem = copy % 2 === 0 ? hesitant(nodeFileSystem, 4) : nodeFileSystem
        const backup = await inPatience(hotbackup({ home, target, digest, onEvent, fileSystem }), where)
        if (backup.tries > 1) retried += 1
        reached = 'its end, verified'
        for (const finding of await inPatience(verifyBackup(target), where))
          failures.push(`copy ${copy}: ${finding.code} ${finding.name}`)
        reached = 'its verification, restored'
        const { n, state, lsn } = await inPatience(restored(target), where)
        const wrong = difference(state, model.at(n))
        if (wrong !== undefined) failures.push(`copy ${copy} is no prefix: ${wrong}`)
        if (n < atLeast) failures.push(`copy ${copy} ends at ${n}, acknowledged were ${atLeast}`)
        if (lsn !== backup.lsn) failures.push(`copy ${copy} replays to LSN ${lsn} instead of ${backup.lsn}`)
        lastTransaction = n
        // Every third copy goes to a new folder, the others replace the one before.
        if (copy % 3 === 0) await rm(target, { recursive: true })
      }
    } finally {
      await owner.stop()
      await killer
      await rm(target, { recursive: true, force: true })
    }
    return { copies: copy, kills: owner.kills, retried, lastTransaction, failures }
  })
}

async function inPatience<Result>(work: Promise<Result>, where: () => string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(where())), PATIENCE_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The file system with a random pause before each step that looks at what the owner may change. */
export function hesitant(inner: FileSystem, pauseMsMax: number): FileSystem {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.random() * pauseMsMax))
  return {
    ...inner,
    open: async (path, mode) => {
      await pause()
      return inner.open(path, mode)
    },
    list: async (path) => {
      await pause()
      return inner.list(path)
    },
    link: async (existing, path) => {
      await pause()
      return inner.link(existing, path)
    },
    status: async (path) => {
      await pause()
      return inner.status(path)
    },
  }
}

/** The process that has the database open. */
export class Owner {
  readonly #home: string
  readonly #acknowledgedPath: string
  readonly #shape: Shape
  readonly #script: string
  #child: ChildProcess | undefined
  #isStopping = false
  kills = 0

  /** @param script - the program, in this folder */
  constructor(
    {
      home,
      acknowledgedPath,
      script = 'writer-child.ts',
    }: { home: string; acknowledgedPath: string; script?: string },
    shape: Shape,
  ) {
    this.#script = script
    this.#home = home
    this.#acknowledgedPath = acknowledgedPath
    this.#shape = shape
    writeFileSync(acknowledgedPath, '0'.repeat(16))
  }

  acknowledged(): number {
    return Number(readFileSync(this.#acknowledgedPath, 'utf8'))
  }

  async start(): Promise<void> {
    const script = fileURLToPath(new URL(`./${this.#script}`, import.meta.url))
    const { keyCount, valueBytes, bigEvery = 0 } = this.#shape
    const shape = [keyCount, valueBytes, bigEvery].map(String)
    const child = fork(testProgram(script), [this.#home, this.#acknowledgedPath, ...shape], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child = child
    const opened = once(child, 'message')
    const ended = once(child, 'exit').then(([code, signal]) => {
      if (signal !== 'SIGKILL') throw new Error(`the writer ended by itself with ${String(code)}`)
    })
    await inPatience(Promise.race([opened, ended]), () => 'the writer has not opened its home')
  }

  async killAtRandom(everyMs: number): Promise<void> {
    while (!this.#isStopping) {
      await new Promise((resolve) => setTimeout(resolve, everyMs * (0.5 + Math.random())))
      if (this.#isStopping) return
      await this.#kill()
      this.kills += 1
      // Stopped while it died: nobody would end another one.
      if (this.#isStopping) return
      await this.start()
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#kill()
  }

  async #kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await inPatience(ended, () => 'the writer has not died')
  }
}
