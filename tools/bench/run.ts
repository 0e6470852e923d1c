/**
 * One run of the bench: how long it measures, who is there to be measured, and every sample that was taken. Each measurement is a
 * process of its own, so that no peer warms the heap or the pool of another.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withFolder } from './folder.ts'
import { type Goal, goalMarkdown, goalTable } from './goals.ts'
import { type CPeer, cPeerPath } from './peers.ts'
import { table } from './statistics.ts'
import type { MachineResult } from './workloads/machine-workload.ts'

export interface Column<T> {
  readonly title: string
  /** Somebody else's: when it fails, the run goes on without it, and ends well. One of ours that fails does not. */
  readonly isPeer?: boolean
  /** Undefined when the peer is absent. */
  readonly measure: (() => Promise<T>) | undefined
}

export interface Measured<T> {
  readonly title: string
  /** One for each round. */
  readonly samples: readonly T[]
}

export interface Interleaved<T> {
  readonly measured: readonly Measured<T>[]
  /** Those of a column by its title; none when it is absent or was left out, so that no other is taken for it. */
  readonly of: (title: string) => readonly T[]
  /** What the machine did alone in each round. */
  readonly machine: readonly MachineResult[]
}

export interface BenchOptions {
  /** Smaller databases and shorter turns; three rounds instead of five. */
  readonly quick: boolean
  readonly rounds: number | undefined
  readonly writerCounts: readonly number[]
  /** Where the samples are kept. */
  readonly folder: string
  /** What the machine does alone, under an environment; by itself a process that measures it. */
  readonly machine?: (environment: NodeJS.ProcessEnv) => Promise<MachineResult>
}

interface Failure {
  readonly what: string
  readonly error: string
}

const peers = fileURLToPath(new URL('./peers', import.meta.url))
const MACHINE_SECONDS = 0.4
/** No measurement takes a third of it; one that hangs would take the whole run with it. */
const MEASUREMENT_MS_MAX = 15 * 60 * 1000
/** Characters of what a program said before it failed: an error of Node with its stack. */
const LAST_WORDS_MAX = 1000
const child = fileURLToPath(new URL('./child.ts', import.meta.url))

export class BenchRun {
  readonly quick: boolean
  readonly rounds: number
  /** Of one measurement. */
  readonly seconds: number
  readonly writerCounts: readonly number[]
  /** When it began; names its files. */
  readonly at: string = new Date().toISOString()
  readonly #kept: { section: string; title: string; samples: readonly unknown[] }[] = []
  readonly #goals: Goal[] = []
  readonly #absent = new Set<string>()
  /** Columns that were left out, and sections that ended early. */
  readonly #failed: Failure[] = []
  readonly #folder: string
  readonly #machine: (environment: NodeJS.ProcessEnv) => Promise<MachineResult>
  #hasLostOurs = false

  constructor(options: BenchOptions) {
    this.quick = options.quick
    this.rounds = options.rounds ?? (options.quick ? 3 : 5)
    this.seconds = options.quick ? 1 : 2
    this.writerCounts = options.writerCounts
    this.#folder = options.folder
    const measured = (environment: NodeJS.ProcessEnv): Promise<MachineResult> =>
      this.child('machine', { seconds: MACHINE_SECONDS }, environment)
    this.#machine = options.machine ?? measured
  }

  /** Resolves also when the section fails: it is named at the end, what it sampled until then is kept, and others can follow. */
  async section(name: string, bench: (run: BenchRun) => Promise<void>): Promise<void> {
    try {
      await bench(this)
    } catch (error) {
      this.#fail(`the section ${name}`, error)
      this.#hasLostOurs = true
    }
    await this.keep()
  }

  /**
   * Every round measures all columns one after another: a machine that slows down slows all of them. It begins with what the machine does
   * alone, under the same environment, and ends with all samples in the file. A column that fails is left out and named at the end, and if it
   * was ours the run has failed; without the first one there is nothing to tell.
   */
  async interleave<T>(
    section: string,
    columns: readonly Column<T>[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Interleaved<T>> {
    const there = columns.flatMap(({ title, isPeer = false, measure }) =>
      measure === undefined ? [] : [{ title, isPeer, measure, samples: [] as T[] }],
    )
    const machine: MachineResult[] = []
    this.#kept.push(...there.map(({ title, samples }) => ({ section, title, samples })))
    this.#kept.push({ section, title: 'the machine', samples: machine })
    const measured = new Set(there)
    for (let round = 0; round < this.rounds; round++) {
      machine.push(await this.#machine(environment))
      for (const column of measured) {
        try {
          column.samples.push(await column.measure())
        } catch (error) {
          if (column === there[0]) throw error
          measured.delete(column)
          this.#hasLostOurs ||= !column.isPeer
          this.#fail(`${column.title} (${section})`, error)
        }
      }
      await this.keep()
    }
    const of = (title: string): readonly T[] =>
      [...measured].find((column) => column.title === title)?.samples ?? []
    return { measured: [...measured], of, machine }
  }

  /** Rounds of a workload that nobody else has. */
  async alone<T>(
    workload: string,
    work: object,
  ): Promise<{ readonly samples: readonly T[]; readonly machine: readonly MachineResult[] }> {
    const title = 'timberline'
    const columns = [{ title, measure: () => this.child<T>(workload, work) }]
    const { of, machine } = await this.interleave(workload, columns)
    return { samples: of(title), machine }
  }

  /** A workload of `child.ts`. */
  async child<T>(workload: string, work: object, environment: NodeJS.ProcessEnv = {}): Promise<T> {
    const words = ['--import', 'tsx', child, workload, JSON.stringify(work)]
    return JSON.parse(await outputOf(process.execPath, words, environment)) as T
  }

  /** Undefined, and named at the end, when the peer was not built. */
  cPeer<T>(name: CPeer, words: (folder: string) => readonly string[]): (() => Promise<T>) | undefined {
    const program = cPeerPath(name)
    if (!this.has(name, program)) return undefined
    return () => withFolder(async (folder) => JSON.parse(await outputOf(program, words(folder), {})) as T)
  }

  /** A peer that a script of `peers/` sets up and measures, where `program` is there. */
  scriptPeer<T>(
    name: string,
    program: string,
    words: (folder: string) => readonly string[],
  ): (() => Promise<T>) | undefined {
    if (!this.has(name, program)) return undefined
    const script = join(peers, `${name}.sh`)
    return () => withFolder(async (folder) => JSON.parse(await outputOf(script, words(folder), {})) as T)
  }

  has(name: string, path: string): boolean {
    if (existsSync(path)) return true
    this.#absent.add(name)
    return false
  }

  print(heading: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
    console.log(`\n${heading}`)
    console.log(table(head, rows))
  }

  /** Puts a line into the table of goals; one whose peer is absent is left out. */
  judge(goal: Goal): void {
    if (goal.ratios.length > 0) this.#goals.push(goal)
  }

  /**
   * Writes every sample so far to a file, and the table of goals to another; called after each round, so that a run of an hour which is cut
   * short has not been for nothing. Resolves with the path of the samples.
   */
  async keep(): Promise<string> {
    await mkdir(this.#folder, { recursive: true })
    const { at, rounds, seconds } = this
    const path = join(this.#folder, at.replaceAll(/[:.]/g, '-'))
    const machine = { node: process.version, processors: cpus().length, model: cpus()[0]?.model ?? '' }
    const told = { goals: this.#goals, absent: [...this.#absent], failed: this.#failed }
    const kept = { at, machine, rounds, seconds, ...told, samples: this.#kept }
    await replaceFile(`${path}.json`, JSON.stringify(kept, undefined, 1))
    await replaceFile(`${path}.md`, `# Goals of a run\n\n${goalMarkdown(this.#goals)}\n`)
    return `${path}.json`
  }

  /** Prints the table of goals, and tells which peers were absent and what failed. Resolves with whether all of ours was measured. */
  async end(): Promise<boolean> {
    console.log(`\nGoals\n${goalTable(this.#goals)}`)
    if (this.#absent.size > 0)
      console.log(`\nabsent, see tools/bench/peers/install.sh: ${[...this.#absent].join(', ')}`)
    for (const { what, error } of this.#failed) console.log(`\nfailed, and left out: ${what}: ${error}`)
    console.log(`\nall samples: ${await this.keep()}`)
    return !this.#hasLostOurs
  }

  #fail(what: string, error: unknown): void {
    console.error(`${what}: ${String(error)}`)
    this.#failed.push({ what, error: String(error) })
  }
}

/** A full disk, or an end in the middle, leaves the file as it was before. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

/** The program’s standard output. */
async function outputOf(
  program: string,
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const run = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
    timeout: MEASUREMENT_MS_MAX,
  })
  let output = ''
  let lastWords = ''
  run.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  run.stderr.setEncoding('utf8').on('data', (text: string) => {
    process.stderr.write(text)
    lastWords = (lastWords + text).slice(-LAST_WORDS_MAX)
  })
  // Rejects when the program cannot be started.
  const [code, signal] = (await once(run, 'close')) as [number | null, string | null]
  if (code !== 0)
    throw new Error(
      `${[program, ...words].join(' ')} ended with ${String(code ?? signal)}: ${lastWords.trim()}`,
    )
  return output
}
