// Runs one decoder over its regression inputs, its seeds and as many damaged inputs as asked for, and states for each what
// must hold: it ends in a value or in a typed error of its list, asks memory for no more than its input can justify, leaves
// nothing behind that changes what comes next, and gives no number that JavaScript cannot count with.
import { mkdtempSync, readdirSync, readFileSync, existsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { TimberlineError } from '@timberline/wal'
import { type Random, seededRandom } from '@timberline/wal/testing'
import { AllocationMeter } from './allocation-meter.ts'
import { type Decoder, Refused } from './decoder.ts'
import { mutateJson } from './json-mutation.ts'
import { mutateBytes, mutateMessagePack, randomBytes } from './mutation.ts'
import type { Watchdog } from './watchdog.ts'

const CORPUS = fileURLToPath(new URL('corpus/', import.meta.url))
const INPUTS = 500
const INPUT_BYTES_MAX = 64 * 1024
const ALLOCATION_BYTES = 64 * 1024
/** A window or a copy for each of a few passes over the input is fine; a copy for each of its parts is not. */
const ALLOCATION_FACTOR = 64
const TOTAL_BYTES = 32 * 1024 * 1024
const TOTAL_FACTOR = 256

/** What became of the inputs of one decoder. */
export interface Tally {
  inputs: number
  regressions: number
  values: number
  readonly refusals: Map<string, number>
  readonly errors: Map<string, number>
}

/** How to run. */
export interface RunOptions {
  readonly seed: number
  readonly inputs?: number
  /** Inputs to try beside those that are made. */
  readonly extra?: readonly Buffer[]
  readonly watchdog?: Watchdog
  /** Asked after each input; true ends the run. */
  readonly isOver?: () => boolean
}

/** The regression inputs of a decoder: what broke it once. */
export function corpusOf(name: string): readonly { readonly name: string; readonly input: Buffer }[] {
  const folder = join(CORPUS, name)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .sort()
    .map((file) => ({ name: `${name}/${file}`, input: readFileSync(join(folder, file)) }))
}

/** Names of the folders in the corpus. */
export function corpusNames(): readonly string[] {
  return readdirSync(CORPUS).sort()
}

/**
 * Runs a decoder; throws at the first finding, with everything needed to see it again. The finding's input is also written to
 * a file, to be moved into `corpus/` under a name that says what it broke.
 */
export async function runDecoder(decoder: Decoder, options: RunOptions): Promise<Tally> {
  const run = new Run(decoder, options)
  const seeds = (await decoder.seeds()).map((seed) => Buffer.from(seed))
  const uninstall = run.meter.install()
  try {
    for (const { name, input } of corpusOf(decoder.name)) {
      await run.feed(name, input)
      run.tally.regressions += 1
    }
    for (const [index, input] of (options.extra ?? []).entries())
      await run.feed(`extra ${String(index)}`, input)
    const values: unknown[] = []
    for (const [index, seed] of seeds.entries()) values.push(await run.value(`seed ${String(index)}`, seed))
    const inputs = options.inputs ?? decoder.inputs ?? INPUTS
    for (let index = 0; index < inputs && options.isOver?.() !== true; index += 1) {
      await run.feed(`input ${String(index)}`, inputAt(decoder, seeds, { seed: options.seed, index }))
    }
    // A decoder that keeps something between calls is spoiled by what it refused.
    for (const [index, seed] of seeds.entries()) {
      const again = await run.value(`seed ${String(index)} again`, seed)
      if (!isDeepStrictEqual(again, values[index]))
        throw run.finding('a seed decodes to another value now', seed)
    }
    return run.tally
  } finally {
    uninstall()
    options.watchdog?.end()
  }
}

/** One line for a tally: decoder | inputs | values | refusals and typed errors by code. */
export function tallyLine(name: string, tally: Tally): string {
  const counts = (map: Map<string, number>): string =>
    [...map]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, count]) => `${key} ${String(count)}`)
      .join(', ')
  const refused = [...tally.refusals.values()].reduce((sum, count) => sum + count, 0)
  const parts = [
    name.padEnd(22),
    `${String(tally.inputs)} inputs (${String(tally.regressions)} regressions)`,
    `${String(tally.values)} values`,
    `${String(refused)} refused in ${String(tally.refusals.size)} ways`,
    counts(tally.errors) || 'no errors',
  ]
  return parts.join(' | ')
}

/** The input with this index: a function of seed, decoder and index. */
export function inputAt(
  decoder: Decoder,
  seeds: readonly Buffer[],
  { seed, index }: { readonly seed: number; readonly index: number },
): Buffer {
  const random = seededRandom(mix(seed, decoder.name, index))
  const plain = makeInput(decoder, seeds, random)
  // Rarely far too long, by spaces, which leave JSON what it is: bounds on whole files are tried by that.
  const made = random.chance(0.01) ? Buffer.concat([plain, Buffer.alloc(70 * 1024, 0x20)]) : plain
  return made.subarray(0, decoder.inputBytesMax ?? INPUT_BYTES_MAX)
}

function makeInput(decoder: Decoder, seeds: readonly Buffer[], random: Random): Buffer {
  const origin = seeds[random.integer(seeds.length)] ?? Buffer.alloc(0)
  // Unmended damage must be refused by the checksum; mended damage is what reaches the rest.
  const repair = (bytes: Buffer): Buffer =>
    decoder.repair !== undefined && random.chance(0.85) ? decoder.repair(bytes) : bytes
  if (random.chance(0.03)) return repair(randomBytes(random.integer(300), random))
  if (decoder.shape === 'msgpack' && random.chance(0.4)) return repair(mutateMessagePack(origin, random))
  if (decoder.shape === 'json' && random.chance(0.75)) {
    const text = mutateJson(JSON.parse(origin.toString('utf8')), random)
    return repair(Buffer.from(text))
  }
  return repair(mutateBytes(origin, seeds, random))
}

class Run {
  readonly meter = new AllocationMeter()
  readonly tally: Tally = { inputs: 0, regressions: 0, values: 0, refusals: new Map(), errors: new Map() }
  readonly #decoder: Decoder
  readonly #options: RunOptions

  constructor(decoder: Decoder, options: RunOptions) {
    this.#decoder = decoder
    this.#options = options
  }

  /** Feeds one input and counts how it ended. */
  async feed(name: string, input: Buffer): Promise<void> {
    const end = await this.#end(name, input)
    this.tally.inputs += 1
    if (end.type === 'error') count(this.tally.errors, end.code)
    else if (end.value instanceof Refused) count(this.tally.refusals, end.value.reason)
    else this.tally.values += 1
  }

  /** The value of a valid input. */
  async value(name: string, input: Buffer): Promise<unknown> {
    const end = await this.#end(name, input)
    if (end.type === 'value' && !(end.value instanceof Refused)) return end.value
    const refusal = end.type === 'value' && end.value instanceof Refused ? `refused, ${end.value.reason}` : ''
    const why = end.type === 'error' ? end.code : refusal
    throw this.finding(`${name} does not decode: ${why}`, input)
  }

  finding(what: string, input: Buffer, cause?: unknown): Error {
    const { name } = this.#decoder
    const path = join(mkdtempSync(join(tmpdir(), 'timberline-fuzz-')), `${name}.bin`)
    writeFileSync(path, input)
    const head = input.toString('latin1', 0, 300)
    const seed = String(this.#options.seed)
    return new Error(`${name}: ${what}; SEED=${seed}, kept in ${path}, begins ${JSON.stringify(head)}`, {
      cause,
    })
  }

  async #end(
    name: string,
    input: Buffer,
  ): Promise<{ type: 'value'; value: unknown } | { type: 'error'; code: string }> {
    const decoder = this.#decoder
    this.#options.watchdog?.begin(`${decoder.name}, ${name}`, input)
    // A copy: a decoder that writes into its input would spoil what is reported.
    const given = Buffer.from(Uint8Array.from(input).buffer)
    this.meter.reset()
    try {
      const value = await decoder.decode(given)
      this.#checkAllocations(name, input)
      if (!given.equals(input)) throw this.finding(`${name} was written into`, input)
      if (!(value instanceof Refused)) this.#checkValue(name, input, value)
      return { type: 'value', value }
    } catch (error) {
      if (!(error instanceof TimberlineError)) {
        if (error instanceof Error && error.message.startsWith(`${decoder.name}: `)) throw error
        throw this.finding(`${name} ended in ${String(error).slice(0, 200)}`, input, error)
      }
      this.#checkAllocations(name, input)
      if (![...decoder.codes, ...(decoder.rareCodes ?? [])].includes(error.code)) {
        throw this.finding(`${name} ended in ${error.code}, which is not on the list`, input, error)
      }
      return { type: 'error', code: error.code }
    }
  }

  #checkAllocations(name: string, input: Buffer): void {
    const most = (this.#decoder.allocationBytes ?? ALLOCATION_BYTES) + ALLOCATION_FACTOR * input.length
    const { largest, total } = this.meter
    if (largest > most) throw this.finding(`${name} asked for ${String(largest)} bytes at once`, input)
    if (total > Math.max(TOTAL_BYTES, most) + TOTAL_FACTOR * input.length) {
      throw this.finding(`${name} asked for ${String(total)} bytes in all`, input)
    }
  }

  #checkValue(name: string, input: Buffer, value: unknown): void {
    const { anyNumber = false, encode, complaint } = this.#decoder
    const problem = oddity(value, { anyNumber, inputBytes: input.length }) ?? complaint?.(value as never)
    if (problem !== undefined) throw this.finding(`${name} gave ${problem}`, input)
    if (encode === undefined) return
    const written = Buffer.from(encode(value as never))
    const again = this.#decoder.decode(Buffer.from(written)) as never
    if (!written.equals(encode(again))) throw this.finding(`${name} changed by being written again`, input)
  }
}

/** A list is made of what was read: with more items than the input has bytes, it was made of a length alone. */
const SPARE_ITEMS = 100

/** A number in a value that is no safe integer, or a list that the input cannot justify. */
function oddity(value: unknown, bounds: { anyNumber: boolean; inputBytes: number }): string | undefined {
  const open: unknown[] = [value]
  while (open.length > 0) {
    const node = open.pop()
    if (typeof node === 'number' && !bounds.anyNumber && !Number.isSafeInteger(node))
      return `the number ${String(node)}`
    if (typeof node !== 'object' || node === null || ArrayBuffer.isView(node)) continue
    if (Array.isArray(node) && node.length > bounds.inputBytes + SPARE_ITEMS)
      return `a list of ${String(node.length)}`
    for (const inner of node instanceof Map ? node.values() : Object.values(node)) open.push(inner)
  }
  return undefined
}

function count(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1)
}

/** FNV-1a over the three, so that neighbouring indices do not give neighbouring sequences. */
function mix(seed: number, name: string, index: number): number {
  let hash = 0x811c9dc5
  for (const character of `${String(seed)} ${name} ${String(index)}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  }
  return hash >>> 0
}
