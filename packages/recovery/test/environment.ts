// An environment as small as possible, with a model beside it that knows the whole content after every record. It is made of
// the log, the state and the archive alone, so that these tests say nothing about the database class or the shipper.
import { createHash, randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Archive,
  backupFileName,
  type BackupFile,
  type BackupManifest,
  encodeBackupManifest,
  type SegmentRef,
} from '@timberline/archive'
import {
  type CheckpointManifest,
  encodeTransaction,
  type HomeIdentity,
  homeLayout,
  openState,
  readHomeIdentity,
  replayInto,
  type StateDigest,
  writeHomeIdentity,
} from '@timberline/engine'
import { listSegments, type Log, openLog, readLog, segmentName, type SegmentSummary } from '@timberline/wal'
import { onTestFinished } from 'vitest'

export type Content = ReadonlyMap<string, string>

/** A folder that goes when the test ends. */
export async function scratchFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'timberline-recovery-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** The writer of a home, and what the home must contain after each record. */
export class Environment {
  readonly home: string
  readonly identity: HomeIdentity
  readonly log: Log
  /** Content after record `lsn`, at index `lsn`. */
  readonly contents: Content[]
  /** Commit time of record `lsn`, at index `lsn`. */
  readonly times: number[]

  private constructor(parts: {
    home: string
    identity: HomeIdentity
    log: Log
    contents: Content[]
    times: number[]
  }) {
    this.home = parts.home
    this.identity = parts.identity
    this.log = parts.log
    this.contents = parts.contents
    this.times = parts.times
  }

  static async create(home: string): Promise<Environment> {
    const identity: HomeIdentity = {
      format: 1,
      environmentId: randomBytes(16).toString('hex'),
      timeline: 1,
      createdAtUs: 1,
    }
    await writeHomeIdentity(home, identity)
    return Environment.#open(home, { contents: [new Map()], times: [0] })
  }

  /** Goes on in a recovered home, whose past is that of `before` up to the fork. */
  static async recovered(home: string, before: Environment): Promise<Environment> {
    const { parent } = await readHomeIdentity(home)
    const forkLsn = parent?.forkLsn ?? 0
    const [{ lastCommittedAtUs = 0 } = {}] = await listSegments(homeLayout(home).logDirectory)
    // The first record of a timeline is the recovery's own, and changes nothing.
    const contents = [...before.contents.slice(0, forkLsn + 1), before.content(forkLsn)]
    return Environment.#open(home, {
      contents,
      times: [...before.times.slice(0, forkLsn + 1), lastCommittedAtUs],
    })
  }

  static async #open(home: string, past: { contents: Content[]; times: number[] }): Promise<Environment> {
    const identity = await readHomeIdentity(home)
    let clock = past.times.at(-1) ?? 0
    const log = await openLog({
      directory: homeLayout(home).logDirectory,
      identity,
      // Records are ten microseconds apart, so that tests can name the times between them.
      now: () => (clock += 10),
      preallocateBytes: 0,
      segmentAgeMsMax: 0,
    })
    return new Environment({ home, identity, log, ...past })
  }

  get lsn(): number {
    return this.times.length - 1
  }

  content(lsn: number): Content {
    return this.contents[lsn] ?? new Map()
  }

  async write(changes: Readonly<Record<string, string | null>>, meta?: unknown): Promise<void> {
    const operations = Object.entries(changes).map(([key, value]) =>
      value === null
        ? { type: 'del' as const, key: Buffer.from(key) }
        : { type: 'put' as const, key: Buffer.from(key), value: Buffer.from(value) },
    )
    const payload = encodeTransaction(meta === undefined ? { operations } : { operations, meta })
    const next = new Map(this.contents.at(-1))
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) next.delete(key)
      else next.set(key, value)
    }
    this.#note(await this.log.commit(payload), next)
  }

  async mark(name: string): Promise<number> {
    this.#note(await this.log.commit(Buffer.from(name), { kind: 'mark' }), this.content(this.lsn))
    return this.lsn
  }

  async note(note: unknown): Promise<void> {
    this.#note(
      await this.log.commit(Buffer.from(JSON.stringify(note)), { kind: 'note' }),
      this.content(this.lsn),
    )
  }

  /** Some transactions over a small key space: puts, overwrites and removals. */
  async writeMany(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const n = this.lsn + 1
      await this.write({ [`k${n % 7}`]: `v${n}`, [`d${n % 5}`]: n % 3 === 0 ? null : `x${n}` }, { n })
    }
  }

  #note({ lsn, committedAtUs }: { lsn: number; committedAtUs: number }, content: Content): void {
    if (lsn !== this.contents.length)
      throw new Error(`record ${lsn} where ${this.contents.length} was expected`)
    this.contents.push(content)
    this.times.push(committedAtUs)
  }

  /** Brings `data/` to the end of the log, and keeps a checkpoint of it. */
  async checkpoint(): Promise<CheckpointManifest> {
    const { dataDirectory, logDirectory } = homeLayout(this.home)
    await this.log.roll()
    const state = await openState(dataDirectory, { createIfMissing: true })
    try {
      const fromLsn = (await state.appliedLsn()) + 1
      if (fromLsn <= this.lsn) await replayInto(state.level, readLog({ directory: logDirectory, fromLsn }))
      const taken = await state.checkpoint({
        layout: homeLayout(this.home),
        identity: this.identity,
        segmentAfter: () => Promise.resolve(this.log.activeSegment),
      })
      return taken.manifest
    } finally {
      await state.close()
    }
  }

  segments(): Promise<readonly SegmentSummary[]> {
    return listSegments(homeLayout(this.home).logDirectory)
  }

  async close(): Promise<void> {
    await this.log.close()
  }
}

/** The digest of a content, from its definition alone. */
export function digestOf(content: Content, lsn: number): StateDigest {
  const hash = createHash('sha256')
  let bytes = 0
  const entries = [...content].map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const)
  for (const [key, value] of entries.toSorted(([a], [b]) => Buffer.compare(a, b))) {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(key.length, 0)
    head.writeUInt32LE(value.length, 4)
    hash.update(head).update(key).update(value)
    bytes += key.length + value.length
  }
  return { algorithm: 'sha256', lsn, entries: content.size, bytes, hex: hash.digest('hex') }
}

interface Collected {
  readonly manifest: BackupManifest
  /** Where each file of the manifest lies now, and how much of it counts. */
  readonly paths: ReadonlyMap<string, { path: string; bytes: number }>
}

/** What a hot backup at this moment would copy: the checkpoint, and the log from it on. */
async function collect(env: Environment, checkpoint: CheckpointManifest, label: string): Promise<Collected> {
  const layout = homeLayout(env.home)
  const paths = new Map<string, { path: string; bytes: number }>()
  for (const { name, bytes } of checkpoint.tables) {
    paths.set(`checkpoint/tables/${name}`, { path: join(layout.tablesDirectory, name), bytes })
  }
  for (const { header, bytes } of await env.segments()) {
    if (header.segmentNumber < checkpoint.segmentNumber) continue
    const name = segmentName(header.segmentNumber)
    paths.set(`log/${name}`, { path: join(layout.logDirectory, name), bytes })
  }
  const files: BackupFile[] = []
  for (const [name, { path, bytes }] of paths) {
    files.push({ name, bytes, sha256: sha256((await readFile(path)).subarray(0, bytes)) })
  }
  const { lsn, committedAtUs, segmentNumber, manifestName, manifestBase64, current } = checkpoint
  const manifest: BackupManifest = {
    format: 1,
    label,
    environmentId: env.identity.environmentId,
    timeline: env.identity.timeline,
    kind: 'full',
    checkpoint: { lsn, committedAtUs, segmentNumber, manifestName, manifestBase64, current },
    beginLsn: lsn + 1,
    endLsn: env.lsn,
    endCommittedAtUs: env.times[env.lsn] ?? 0,
    files,
    digest: digestOf(env.content(env.lsn), env.lsn),
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'test',
  }
  return { manifest, paths }
}

/** A backup folder, as `hotbackup` leaves it. */
export async function backupTo(
  env: Environment,
  directory: string,
  options: {
    checkpoint?: CheckpointManifest
    label?: string
    change?: (manifest: BackupManifest) => BackupManifest
  } = {},
): Promise<BackupManifest> {
  const checkpoint = options.checkpoint ?? (await env.checkpoint())
  const { manifest, paths } = await collect(env, checkpoint, options.label ?? 'b1')
  await mkdir(join(directory, 'checkpoint/tables'), { recursive: true })
  await mkdir(join(directory, 'log'), { recursive: true })
  for (const [name, { path, bytes }] of paths) {
    await writeFile(join(directory, name), (await readFile(path)).subarray(0, bytes))
  }
  await copyFile(homeLayout(env.home).identityPath, homeLayout(directory).identityPath)
  const changed = options.change?.(manifest) ?? manifest
  await writeFile(join(directory, 'backup.json'), encodeBackupManifest(changed))
  return changed
}

/** A backup in an archive. */
export async function backupInto(
  env: Environment,
  archive: Archive,
  options: { checkpoint?: CheckpointManifest; label: string; digest?: boolean },
): Promise<BackupManifest> {
  const checkpoint = options.checkpoint ?? (await env.checkpoint())
  const { manifest, paths } = await collect(env, checkpoint, options.label)
  const files: BackupFile[] = []
  for (const file of manifest.files) {
    const { path, bytes } = paths.get(file.name) ?? { path: '', bytes: 0 }
    const object = backupFileName(options.label, file.name)
    await archive.putObject(object, (await readFile(path)).subarray(0, bytes))
    files.push({ ...file, object })
  }
  const { digest, ...rest } = manifest
  const whole = { ...rest, files, ...(options.digest === false ? {} : { digest }) }
  await archive.addBackup(whole)
  return whole
}

/** Ships what is sealed as segments and the rest as pieces, as a shipper would; `only` picks segments by number. */
export async function ship(
  env: Environment,
  archive: Archive,
  options: { only?: (segmentNumber: number) => boolean; piecesOf?: (segmentNumber: number) => boolean } = {},
): Promise<void> {
  const { timeline } = env.identity
  const epoch = await claim(env, archive)
  const marksOf = (summary: SegmentSummary) =>
    summary.marks.map(({ name, lsn, committedAtUs }) => ({ name, lsn, committedAtUs }))
  for (const summary of await env.segments()) {
    const { segmentNumber, checksum } = summary.header
    if (options.only?.(segmentNumber) === false || summary.lastLsn < summary.firstLsn) continue
    const content = (
      await readFile(join(homeLayout(env.home).logDirectory, segmentName(segmentNumber)))
    ).subarray(0, summary.bytes)
    if (!summary.sealed || options.piecesOf?.(segmentNumber) === true) {
      await shipPieces(archive, { summary, content, epoch, timeline })
      for (const mark of marksOf(summary))
        await archive.appendEvent({ type: 'mark.noted', epoch, mark: { timeline, ...mark } })
      continue
    }
    const name = `segment/${pad(timeline, 8)}/${pad(segmentNumber, 10)}-${sha256(content).slice(0, 16)}`
    const { storedBytes } = { storedBytes: content.length }
    await archive.putObject(name, content)
    const segment: SegmentRef = {
      timeline,
      segmentNumber,
      firstLsn: summary.firstLsn,
      lastLsn: summary.lastLsn,
      firstCommittedAtUs: summary.firstCommittedAtUs ?? 0,
      lastCommittedAtUs: summary.lastCommittedAtUs ?? 0,
      bytes: content.length,
      sha256: sha256(content),
      storedBytes,
      headerChecksum: checksum,
      sealChecksum: summary.sealChecksum ?? 0,
      marks: marksOf(summary),
      name,
    }
    await archive.appendEvent({ type: 'segment.archived', epoch, segment })
  }
}

async function claim(env: Environment, archive: Archive): Promise<number> {
  const { timeline, parent } = env.identity
  const { timelines, owner } = await archive.catalogue()
  if (!timelines.some((known) => known.timeline === timeline)) {
    await archive.beginTimeline({ timeline, parent: parent?.timeline, forkLsn: parent?.forkLsn })
  }
  const epoch = (owner?.epoch ?? 0) + 1
  const ownerId = randomBytes(16).toString('hex')
  await archive.appendEvent({ type: 'owner.claimed', epoch, ownerId, description: 'test', timeline })
  return epoch
}

/** Two pieces, cut at a frame in the middle. */
async function shipPieces(
  archive: Archive,
  part: { summary: SegmentSummary; content: Buffer; epoch: number; timeline: number },
): Promise<void> {
  const { summary, content, epoch, timeline } = part
  const cuts = frameEnds(content)
  const middle = cuts[Math.floor(cuts.length / 2)] ?? {
    position: content.length,
    lsn: summary.lastLsn,
    atUs: 0,
  }
  const end = { position: content.length, lsn: summary.lastLsn, atUs: summary.lastCommittedAtUs ?? 0 }
  let position = 0
  let firstLsn = summary.firstLsn
  for (const cut of middle.position < end.position ? [middle, end] : [end]) {
    const name = `piece/${pad(timeline, 8)}/${[
      pad(summary.header.segmentNumber, 10),
      pad(position, 12),
      pad(cut.position, 12),
      pad(epoch, 6),
      pad(firstLsn, 16),
      pad(cut.lsn, 16),
      pad(cut.atUs, 16),
    ].join('-')}`
    await archive.putObject(name, content.subarray(position, cut.position))
    position = cut.position
    firstLsn = cut.lsn + 1
  }
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0')
}

/** Ends of the group frames, read from the frame headers by their documented offsets. */
function frameEnds(content: Buffer): { position: number; lsn: number; atUs: number }[] {
  const ends = []
  for (let position = 96; position + 40 <= content.length;) {
    const payloadBytes = content.readUInt32LE(position + 8)
    const records = content.readUInt16LE(position + 12)
    const type = content.readUInt8(position + 14)
    if (payloadBytes === 0 && records === 0) break
    const lsn = Number(content.readBigUInt64LE(position + 16)) + records - 1
    const atUs = Number(content.readBigUInt64LE(position + 32))
    position += 40 + Math.ceil(payloadBytes / 8) * 8
    if (type === 1) ends.push({ position, lsn, atUs })
  }
  return ends
}

/** All entries of a recovered home. */
export async function contentOf(home: string): Promise<Content> {
  const state = await openState(homeLayout(home).dataDirectory, { createIfMissing: false })
  try {
    const content = new Map<string, string>()
    for await (const [key, value] of state.level.iterator({ lt: Buffer.alloc(16, 0xff) })) {
      content.set(key.toString(), value.toString())
    }
    return content
  } finally {
    await state.close()
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
