import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { readHomeIdentity, TimberLevel } from '@timberline/engine'
import type { Command } from '../command.ts'
import { decodeLine, type DumpEnd, type DumpEntry, DumpTally } from '../dump-format.ts'
import { cliError } from '../errors.ts'

type Database = TimberLevel<Buffer, Buffer>
type OnEntries = (count: number) => void

const batchEntriesMax = 1000
const batchBytesMax = 1024 * 1024

/** `timberline load` */
export const loadCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  // A mistyped home must not become a new database.
  if (!args.flag('create')) await readHomeIdentity(home)
  const path = args.text('file')
  if (path !== undefined) await requireFile(path)
  const input = path === undefined ? Readable.from(surroundings.input) : createReadStream(path)
  const isBulk = args.flag('bulk')
  const db: Database = new TimberLevel(home, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  const progress = surroundings.progress('loading', 'records')
  try {
    if (!args.flag('merge')) await requireEmpty(db, home)
    const dump = new DumpReading(input, surroundings.signal)
    const onEntries = (count: number): void => progress.update(count, 0)
    await (isBulk ? loadBeside(db, dump, onEntries) : loadLogged(db, dump, onEntries))
    const { entries, sha256 } = dump.end
    const { lastLsn: lsn, backupDue } = await db.homeStatus()
    return {
      document: { home, entries, sha256, lsn, backupDue },
      lines: [
        `${home}: ${String(entries)} entries loaded, log at LSN ${String(lsn)}, sha256 ${sha256}`,
        ...(isBulk ? ['a full backup is due: the log does not have these entries'] : []),
      ],
    }
  } finally {
    progress.end()
    input.destroy()
    await db.close()
  }
}

/** A dump, entry by entry; reading ends in an error unless its closing line says that it was whole. */
class DumpReading {
  readonly #input: Readable
  readonly #signal: AbortSignal
  readonly #tally = new DumpTally()
  #end: DumpEnd = { end: true, entries: 0, sha256: '' }

  constructor(input: Readable, signal: AbortSignal) {
    this.#input = input
    this.#signal = signal
  }

  /** How many entries were read so far. */
  get count(): number {
    return this.#tally.entries
  }

  /** What was read, once all of it is. */
  get end(): DumpEnd {
    return this.#end
  }

  async *entries(): AsyncGenerator<DumpEntry> {
    let lineNumber = 0
    let said: DumpEnd | undefined
    // Made here: lines that come before somebody iterates are lost, and a load may have to wait for its turn.
    const lines = createInterface({ input: this.#input, crlfDelay: Infinity, signal: this.#signal })
    for await (const text of lines) {
      lineNumber++
      if (text === '') continue
      if (said !== undefined)
        throw cliError('CLI_LOAD_FORMAT', `line ${String(lineNumber)} comes after the closing line`)
      const line = decodeLine(text, lineNumber)
      if ((line.type === 'head') !== (lineNumber === 1)) {
        throw cliError(
          'CLI_LOAD_FORMAT',
          `line ${String(lineNumber)}: a dump has one head, as its first line`,
        )
      }
      if (line.type === 'end') said = line.end
      if (line.type !== 'entry') continue
      this.#tally.add(line.entry)
      yield line.entry
    }
    // An interrupted input ends as a whole one does.
    this.#signal.throwIfAborted()
    this.#end = checkedEnd(this.#tally, said)
  }
}

async function loadLogged(db: Database, dump: DumpReading, onEntries: OnEntries): Promise<void> {
  let batch: ({ type: 'put' } & DumpEntry)[] = []
  let batchBytes = 0
  for await (const entry of dump.entries()) {
    batch.push({ type: 'put', ...entry })
    batchBytes += entry.key.length + entry.value.length
    if (batch.length < batchEntriesMax && batchBytes < batchBytesMax) continue
    await db.batch(batch)
    batch = []
    batchBytes = 0
    onEntries(dump.count)
  }
  if (batch.length > 0) await db.batch(batch)
}

/** A dump that is cut or damaged ends the load, and nothing of it stays. */
async function loadBeside(db: Database, dump: DumpReading, onEntries: OnEntries): Promise<void> {
  const told = async function* (): AsyncGenerator<DumpEntry> {
    for await (const entry of dump.entries()) {
      yield entry
      if (dump.count % batchEntriesMax === 0) onEntries(dump.count)
    }
  }
  await db.bulkLoad(told())
}

function checkedEnd(tally: DumpTally, said: DumpEnd | undefined): DumpEnd {
  const found = tally.end()
  if (said?.entries === found.entries && said.sha256 === found.sha256) return found
  throw cliError(
    'CLI_LOAD_INCOMPLETE',
    said === undefined ? 'the dump has no closing line' : 'the closing line counts other entries',
    {
      details: { entriesRead: found.entries, entriesSaid: said?.entries },
    },
  )
}

async function requireEmpty(db: Database, home: string): Promise<void> {
  const [key] = await db.keys({ limit: 1 }).all()
  if (key !== undefined) throw cliError('CLI_LOAD_NOT_EMPTY', 'the home holds entries', { details: { home } })
}

async function requireFile(path: string): Promise<void> {
  try {
    await stat(path)
  } catch (cause) {
    throw cliError('CLI_FILE_MISSING', 'the file cannot be read', { details: { path }, cause })
  }
}
