/**
 * Shipping, with log and archive on one simulated disk. What the archive holds is read back record by record and held against the
 * log and the model: nothing is missing, nothing is there twice, nothing was made up.
 */
import {
  createArchive,
  directoryStore,
  openArchive,
  runShipper,
  streamSource,
  verifyArchive,
  type Archive,
  type Shipper,
} from '@timberline/archive'
import {
  decodeSegment,
  openLog,
  parseSegmentName,
  readLog,
  TimberlineError,
  type Log,
  type LogRecord,
} from '@timberline/wal'
import { plainAct, type Act, type Machine, type Scenario } from './scenario.ts'

const IDENTITY = { environmentId: 'e0'.repeat(16), timeline: 1 }
/** Refusals in a row after which a person would look; until then the shipper tries again by itself. */
const TRIES = 3

export const shipScenarios: readonly Scenario[] = [
  {
    ...shipping('ship, pieces and segments'),
    prepare: async (machine) => {
      await createArchive(directoryStore(archiveOf(machine), machine.fileSystem), IDENTITY)
      await withLog(machine, async (log) => {
        await append(log, machine, 2)
        await log.roll()
        await append(log, machine, 2)
      })
    },
  },
  {
    ...shipping('a segment replaces its pieces'),
    prepare: async (machine) => {
      await createArchive(directoryStore(archiveOf(machine), machine.fileSystem), IDENTITY)
      await withLog(machine, (log) => append(log, machine, 2))
      await ship(machine)
      await withLog(machine, (log) => append(log, machine, 1))
      await ship(machine)
      await withLog(machine, async (log) => {
        await log.roll()
        await append(log, machine, 1)
      })
    },
  },
]

function shipping(name: string): Omit<Scenario, 'prepare'> {
  return {
    name,
    over: 'simulated disk',
    begin: (machine) => Promise.resolve(shipAct(machine)),
    again: shipAct,
    check,
    lanes: 12,
    weight: 0.6,
  }
}

function shipAct(machine: Machine): Act {
  return plainAct(() => ship(machine))
}

function archiveOf({ root }: Machine): string {
  return `${root}/archive`
}

function logOf({ root }: Machine): string {
  return `${root}/log`
}

async function withLog(machine: Machine, work: (log: Log) => Promise<void>): Promise<void> {
  const { fileSystem } = machine
  const log = await openLog({
    directory: logOf(machine),
    identity: IDENTITY,
    fileSystem,
    preallocateBytes: 0,
    segmentAgeMsMax: 0,
  })
  await work(log)
  await log.close()
}

async function append(log: Log, { promises }: Machine, count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) {
    await promises.next((_, n) => log.commit(Buffer.from(payload(n))))
  }
}

function payload(n: number): string {
  return `record ${n} `.padEnd(120 + (n % 5) * 40, `${n}`)
}

/** Ships all there is, and ends; a shipper that is refused again and again is given up with its own error. */
async function ship(machine: Machine): Promise<void> {
  const { fileSystem } = machine
  const archive = await openTheArchive(machine)
  const sealed = await sealedSegments(machine)
  const stop = new AbortController()
  const shipper = runShipper({
    logDirectory: logOf(machine),
    archive,
    name: 'test',
    identity: IDENTITY,
    intervalMs: 10,
    retryMs: { first: 1, max: 2 },
    signal: stop.signal,
    fileSystem,
  })
  const refused = refusedTooOften(shipper)
  try {
    await Promise.race([shipped(shipper, sealed), refused.error])
  } finally {
    stop.abort()
    refused.end()
    await shipper.done
  }
}

function openTheArchive(machine: Machine): Promise<Archive> {
  return openArchive(directoryStore(archiveOf(machine), machine.fileSystem))
}

/** Everything is in the archive, and what is sealed is there as whole segments without leftover pieces. */
async function shipped(shipper: Shipper, sealed: number): Promise<void> {
  await shipper.flush()
  for (;;) {
    const { archivedSegment, uploadingSegment, state } = shipper.status()
    if (state === 'failed') await shipper.done
    if (archivedSegment >= sealed && uploadingSegment === undefined) return
    await moment()
  }
}

/** All but the last: none of these scenarios leaves a sealed segment without the one that follows it. */
async function sealedSegments(machine: Machine): Promise<number> {
  const names = await machine.beneath.list(logOf(machine))
  return names.filter((name) => parseSegmentName(name) !== undefined).length - 1
}

function moment(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1)
  })
}

function refusedTooOften(shipper: Shipper): { readonly error: Promise<never>; end(): void } {
  let tell: (error: unknown) => void = () => undefined
  const error = new Promise<never>((_, reject) => {
    tell = reject
  })
  // Lost races leave nobody who listens.
  error.catch(() => undefined)
  const subscription = shipper.events$.subscribe((event) => {
    if (event.type === 'ship.retried' && event.tries >= TRIES) tell(event.error)
  })
  return { error, end: () => subscription.unsubscribe() }
}

/** What is archived is the log; the log holds what was promised; and both go on. */
async function check(machine: Machine): Promise<void> {
  await compare(machine)
  await withLog(machine, (log) => append(log, machine, 1))
  await ship(machine)
  await compare(machine)
}

async function compare(machine: Machine): Promise<void> {
  const { fileSystem, promises } = machine
  const archive = await openTheArchive(machine)
  const expected = Array.from({ length: promises.acknowledged }, (_, index) => payload(index + 1))
  const local: LogRecord[] = []
  for await (const group of readLog({ directory: logOf(machine), fromLsn: 1, fileSystem }))
    local.push(...group)
  same('the log', local, expected)
  same('the archive', await archivedRecords(archive), expected)
  for await (const finding of verifyArchive(archive)) {
    throw new Error(`the archive is damaged: ${JSON.stringify(finding)}`)
  }
}

function same(what: string, records: readonly LogRecord[], expected: readonly string[]): void {
  const found = records.map(({ lsn, payload: bytes }) => `${lsn} ${bytes.toString()}`)
  const wanted = expected.map((text, index) => `${index + 1} ${text}`)
  if (found.join('\n') !== wanted.join('\n')) {
    throw new Error(`${what} holds ${found.length} records, not the ${wanted.length} expected`)
  }
}

async function archivedRecords(archive: Archive): Promise<LogRecord[]> {
  const { segments, pieces } = await archive.catalogue()
  const records: LogRecord[] = []
  for (const segment of segments) {
    const source = streamSource(archive.fetchSegment(segment), { bytes: segment.bytes, path: segment.name })
    for await (const group of decodeSegment(source, { last: false, expect: IDENTITY })) records.push(...group)
  }
  for (const number of new Set(pieces.map((piece) => piece.segmentNumber))) {
    const chain = pieces.filter((piece) => piece.segmentNumber === number)
    const source = streamSource(archive.fetchPieces(chain), {
      bytes: chain.at(-1)?.endPosition ?? 0,
      path: `pieces of ${number}`,
    })
    for await (const group of decodeSegment(source, { last: true, expect: IDENTITY })) records.push(...group)
  }
  if (records.length === 0)
    throw new TimberlineError('the archive is empty', { code: 'TEST_EMPTY', kind: 'gap' })
  return records
}
