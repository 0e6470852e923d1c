import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { readHomeIdentity, TimberLevel } from '@timberline/engine'
import type { Command } from '../command.ts'
import { type DumpEnd, DumpTally, encodeEntry } from '../dump-format.ts'
import { cliError } from '../errors.ts'
import { jsonText } from '../readable.ts'

const entriesAtATime = 1000

/** `timberline dump` */
export const dumpCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  const identity = await readHomeIdentity(home)
  const path = args.text('file')
  const db = new TimberLevel<Buffer, Buffer>(home, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    createIfMissing: false,
  })
  await db.open()
  const progress = surroundings.progress('dumping', 'records')
  try {
    const sink =
      path === undefined ? { write: surroundings.write, end: async () => undefined } : await fileSink(path)
    const lsn = (await db.homeStatus()).lastLsn
    const { environmentId, timeline } = identity
    await sink.write(`${jsonText({ timberline: 'dump', format: 1, environmentId, timeline, lsn })}\n`)
    const end = await writeEntries(db, {
      write: sink.write,
      signal: surroundings.signal,
      onEntries: (count) => progress.update(count, 0),
    })
    await sink.write(`${jsonText(end)}\n`)
    await sink.end()
    if (path === undefined) return {}
    const { entries, sha256 } = end
    return {
      document: { file: path, lsn, entries, sha256 },
      lines: [`${path}: ${String(entries)} entries at LSN ${String(lsn)}, sha256 ${sha256}`],
    }
  } finally {
    progress.end()
    await db.close()
  }
}

interface Pouring {
  readonly write: (text: string) => Promise<void>
  readonly signal: AbortSignal
  readonly onEntries: (count: number) => void
}

async function writeEntries(
  db: TimberLevel<Buffer, Buffer>,
  { write, signal, onEntries }: Pouring,
): Promise<DumpEnd> {
  const tally = new DumpTally()
  const iterator = db.iterator({ signal })
  try {
    for (;;) {
      const entries = await iterator.nextv(entriesAtATime)
      if (entries.length === 0) return tally.end()
      const lines = entries.map(([key, value]) => {
        tally.add({ key, value })
        return encodeEntry({ key, value })
      })
      await write(`${lines.join('\n')}\n`)
      onEntries(tally.entries)
    }
  } finally {
    await iterator.close()
  }
}

/** A new file: what is there already is not overwritten. */
async function fileSink(
  path: string,
): Promise<{ write: (text: string) => Promise<void>; end: () => Promise<undefined> }> {
  const stream = createWriteStream(path, { flags: 'wx', flush: true })
  await once(stream, 'open').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause
    throw cliError('CLI_FILE_EXISTS', 'the file is there already', { details: { path }, cause })
  })
  return {
    write: async (text) => {
      if (!stream.write(text)) await once(stream, 'drain')
    },
    end: async () => {
      stream.end()
      await once(stream, 'close')
      return undefined
    },
  }
}
