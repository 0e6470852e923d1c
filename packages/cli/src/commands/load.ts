import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { readHomeIdentity, TimberLevel } from '@timberline/engine'
import type { Command } from '../command.ts'
import { decodeLine, type DumpEnd, DumpTally } from '../dump-format.ts'
import { cliError } from '../errors.ts'

type Database = TimberLevel<Buffer, Buffer>

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
  const db: Database = new TimberLevel(home, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  const progress = surroundings.progress('loading', 'records')
  try {
    if (!args.flag('merge')) await requireEmpty(db, home)
    const lines = createInterface({ input, crlfDelay: Infinity, signal: surroundings.signal })
    const { entries, sha256 } = await loadLines(db, lines, {
      signal: surroundings.signal,
      onEntries: (count) => progress.update(count, 0),
    })
    const { lastLsn: lsn } = await db.homeStatus()
    return {
      document: { home, entries, sha256, lsn },
      lines: [`${home}: ${String(entries)} entries loaded, log at LSN ${String(lsn)}, sha256 ${sha256}`],
    }
  } finally {
    progress.end()
    input.destroy()
    await db.close()
  }
}

async function loadLines(
  db: Database,
  lines: AsyncIterable<string>,
  { signal, onEntries }: { readonly signal: AbortSignal; readonly onEntries: (count: number) => void },
): Promise<DumpEnd> {
  const tally = new DumpTally()
  let batch: { type: 'put'; key: Buffer; value: Buffer }[] = []
  let batchBytes = 0
  let lineNumber = 0
  let said: DumpEnd | undefined
  const flush = async (): Promise<void> => {
    await db.batch(batch)
    batch = []
    batchBytes = 0
    onEntries(tally.entries)
  }
  for await (const text of lines) {
    lineNumber++
    if (text === '') continue
    if (said !== undefined)
      throw cliError('CLI_LOAD_FORMAT', `line ${String(lineNumber)} comes after the closing line`)
    const line = decodeLine(text, lineNumber)
    if ((line.type === 'head') !== (lineNumber === 1)) {
      throw cliError('CLI_LOAD_FORMAT', `line ${String(lineNumber)}: a dump has one head, as its first line`)
    }
    if (line.type === 'end') said = line.end
    if (line.type !== 'entry') continue
    tally.add(line.entry)
    batch.push({ type: 'put', ...line.entry })
    batchBytes += line.entry.key.length + line.entry.value.length
    if (batch.length >= batchEntriesMax || batchBytes >= batchBytesMax) await flush()
  }
  // An interrupted input ends as a whole one does.
  signal.throwIfAborted()
  if (batch.length > 0) await flush()
  return checkedEnd(tally, said)
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
