// The decoders of a home: transactions and notes in the log, the JSON files, the lines of the control socket.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  decodeCheckpoint,
  decodeHomeIdentity,
  decodeNote,
  decodeTransaction,
  encodeCheckpoint,
  encodeNote,
  encodeTransaction,
  homeLayout,
  homeOwner,
  readBackupDue,
  readHomeEnd,
  type Note,
  type Transaction,
} from '@timberline/engine'
import { ADOPT_MARKER } from '../../packages/engine/src/home/home-admission.ts'
import { readMarker } from '../../packages/engine/src/adopt/adopt-marker.ts'
import {
  decodeReply,
  decodeRequest,
  LineSplitter,
  REQUEST_BYTES_MAX,
} from '../../packages/engine/src/control/control-protocol.ts'
import { decodeWriterReport } from '../../packages/engine/src/control/meter-call.ts'
import { decodeMeta, encodeMeta } from '../../packages/engine/src/records/meta-codec.ts'
import { OperationWindow } from '../../packages/engine/src/tables/operation-window.ts'
import { TransactionCursor } from '../../packages/engine/src/records/transaction-cursor.ts'
import { processIdentity } from '../../packages/wal/src/files/process-identity.ts'
import { repairCheckpoint } from './checksums.ts'
import { type Decoder, orRefused, Refused } from './decoder.ts'
import { filesInMemory } from './memory-files.ts'

const ENVIRONMENT_ID = '00112233445566778899aabbccddeeff'
const TIME_US = 1_700_000_000_000_000
const META = {
  actor: 'import-7',
  at: new Date(1_700_000_000_123),
  bytes: Buffer.from([1, 2, 3]),
  deep: [[[{ a: null, b: true, c: -5, d: 1.5, e: 'ü'.repeat(40) }]]],
  large: 2n ** 60n,
}

/** The depth that meta may have. */
const DEPTH_MAX = 64

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** A folder for the one reader that only knows the real file system; it goes with this process. */
let folder: string | undefined
const ownerHome = (): string => (folder ??= makeOwnerHome())

function makeOwnerHome(): string {
  const made = mkdtempSync(join(tmpdir(), 'timberline-fuzz-owner-'))
  process.once('exit', () => rmSync(made, { recursive: true, force: true }))
  return made
}

/** What no other MessagePack library would make of the same bytes: objects with a life of their own, or endless depth. */
function notPlain(meta: unknown): string | undefined {
  const open: { value: unknown; depth: number }[] = [{ value: meta, depth: 0 }]
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    const { value, depth } = item
    if (['function', 'symbol', 'undefined'].includes(typeof value)) return `a ${typeof value}`
    if (typeof value !== 'object' || value === null) continue
    if (value instanceof Date || value instanceof Uint8Array) continue
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== Array.prototype) return 'an object of a class'
    if (depth > DEPTH_MAX) return 'more depth than it may have'
    for (const inner of Object.values(value)) open.push({ value: inner, depth: depth + 1 })
  }
  return undefined
}

export const engineDecoders: readonly Decoder[] = [
  {
    name: 'transaction',
    covers: ['engine/records/transaction-codec.ts#decodeTransaction'],
    codes: ['ENGINE_RECORD_DAMAGED', 'ENGINE_RECORD_FORMAT'],
    shape: 'msgpack',
    seeds: () => [
      encodeTransaction({ operations: [] }),
      encodeTransaction({
        operations: [
          { type: 'put', key: 'a', value: Buffer.alloc(300, 'v') },
          { type: 'del', key: Buffer.from([0, 255]) },
        ],
      }),
      encodeTransaction({ operations: [{ type: 'put', key: 'k', value: 'v' }], meta: META }),
    ],
    anyNumber: true,
    inputs: 2500,
    decode: (input) => decodeTransaction(input),
    // Without meta, which may hold what no encoder of ours writes: times that are none, two members of one name.
    encode: ({ operations }: Transaction) => encodeTransaction({ operations }),
  },
  {
    name: 'transaction-in-place',
    covers: ['engine/records/transaction-cursor.ts#begin', 'engine/records/transaction-cursor.ts#next'],
    codes: ['ENGINE_RECORD_DAMAGED', 'ENGINE_RECORD_FORMAT'],
    shape: 'msgpack',
    seeds: () => [
      encodeTransaction({
        operations: [
          { type: 'put', key: 'a', value: Buffer.alloc(300, 'v') },
          { type: 'del', key: Buffer.from([0, 255]) },
          { type: 'put', key: '', value: '' },
        ],
        meta: META,
      }),
    ],
    anyNumber: true,
    inputs: 1500,
    // The memory of the window.
    allocationBytes: 1024 * 1024,
    // As a replay takes it: places in the payload alone, of what then lies in the window.
    decode: (input) => {
      const cursor = new TransactionCursor()
      cursor.begin(input)
      const window = new OperationWindow()
      window.addAll(cursor)
      cursor.meta()
      const operations = [...Array(window.count).keys()].map((index) => [
        window.key(index).toString('hex'),
        window.value(index)?.toString('hex'),
      ])
      return { input, operations }
    },
    complaint: ({ input, operations }: { input: Buffer; operations: unknown }) => {
      const others = decodeTransaction(input).operations.map((operation) => [
        operation.key.toString('hex'),
        operation.type === 'put' ? operation.value.toString('hex') : undefined,
      ])
      return isDeepStrictEqual(operations, others)
        ? undefined
        : 'other operations than those decoded one by one'
    },
  },
  {
    name: 'meta',
    covers: ['engine/records/meta-codec.ts#decodeMeta', 'engine/records/meta-codec.ts#shapeAt'],
    codes: ['ENGINE_RECORD_DAMAGED'],
    shape: 'msgpack',
    seeds: () =>
      [META, [], {}, null, 7, [1, [2, [3, {}]]], new Date(0), 'text', { a: { b: {} } }].map(encodeMeta),
    anyNumber: true,
    inputs: 2500,
    // Wrapped, since `undefined` and texts are values here.
    decode: (input) => ({ meta: decodeMeta(input) }),
    complaint: ({ meta }: { meta: unknown }) => notPlain(meta),
  },
  {
    name: 'note',
    covers: ['engine/records/notes.ts#decodeNote'],
    codes: [],
    shape: 'json',
    seeds: () => [
      encodeNote({ type: 'checkpoint', lsn: 7, segmentNumber: 2, tables: 3 }),
      encodeNote({ type: 'barrier', id: '2b1c3d4e', name: 'month-end', members: ['./a', './b'] }),
    ],
    decode: (input) => {
      const note = decodeNote(input)
      return note.type === 'unknown' ? new Refused('unknown') : note
    },
    encode: (note: Note) => encodeNote(note),
  },
  {
    name: 'home-identity',
    covers: ['engine/home/home-identity.ts#decodeHomeIdentity'],
    codes: ['ENGINE_HOME_DAMAGED'],
    shape: 'json',
    seeds: () => [
      json({ format: 1, environmentId: ENVIRONMENT_ID, timeline: 1, createdAtUs: TIME_US, creating: true }),
      json({
        format: 1,
        environmentId: ENVIRONMENT_ID,
        timeline: 2,
        createdAtUs: TIME_US,
        archiving: false,
        parent: { timeline: 1, forkLsn: 40 },
        adoptedAtUs: TIME_US,
      }),
    ],
    decode: (input) => decodeHomeIdentity(input, 'timberline.json'),
    encode: json,
  },
  {
    name: 'checkpoint',
    covers: ['engine/checkpoint/checkpoint-manifest.ts#decodeCheckpoint'],
    codes: ['ENGINE_CHECKPOINT_DAMAGED'],
    shape: 'json',
    seeds: () => [
      encodeCheckpoint({
        format: 1,
        environmentId: ENVIRONMENT_ID,
        timeline: 1,
        lsn: 42,
        committedAtUs: TIME_US,
        segmentNumber: 3,
        current: 'MANIFEST-000002\n',
        manifestName: 'MANIFEST-000002',
        manifestBase64: Buffer.from('manifest').toString('base64'),
        tables: [
          { name: '000005.ldb', bytes: 100, sha256: 'ab'.repeat(32) },
          { name: '000007.ldb', bytes: 5 },
        ],
        digest: { algorithm: 'sha256', lsn: 42, entries: 3, bytes: 30, hex: 'cd'.repeat(32) },
        createdAtUs: TIME_US,
      }),
    ],
    repair: repairCheckpoint,
    decode: (input) => decodeCheckpoint(input, 'checkpoint.json'),
    encode: encodeCheckpoint,
  },
  {
    name: 'adopt-marker',
    covers: ['engine/adopt/adopt-marker.ts#readMarker'],
    codes: ['ENGINE_HOME_DAMAGED', 'WAL_INVALID'],
    rareCodes: ['ENGINE_ADOPT_UNFINISHED'],
    shape: 'json',
    seeds: () => [
      json({ step: 'adopt', environmentId: ENVIRONMENT_ID, createdAtUs: TIME_US }),
      json({ step: 'adopt', environmentId: ENVIRONMENT_ID, createdAtUs: TIME_US, lsn: 7 }),
    ],
    inputs: 300,
    decode: async (input) =>
      readMarker('/home', 'adopt', await filesInMemory({ [`/home/${ADOPT_MARKER}`]: input })),
  },
  {
    name: 'backup-due',
    covers: ['engine/home/home-backup-due.ts#readBackupDue'],
    codes: ['ENGINE_HOME_DAMAGED'],
    shape: 'json',
    seeds: () => [
      json({ reason: 'adopted', sinceUs: TIME_US }),
      json({ reason: 'bulkload', sinceUs: 0, lsn: 3 }),
    ],
    inputs: 300,
    decode: async (input) => readBackupDue('/home', await filesInMemory({ '/home/backup-due.json': input })),
  },
  {
    name: 'home-end',
    covers: ['engine/home/home-end.ts#readHomeEnd'],
    codes: ['ENGINE_HOME_DAMAGED'],
    shape: 'json',
    seeds: () => [
      json({
        format: 1,
        timeline: 1,
        lsn: 9,
        successor: 2,
        ownerId: 'a'.repeat(32),
        endedAtUs: 1,
        home: '/b',
      }),
    ],
    inputs: 300,
    decode: async (input) => readHomeEnd('/home', await filesInMemory({ '/home/ended.json': input })),
  },
  {
    name: 'home-owner',
    covers: ['engine/home/lock.ts#readOwner'],
    codes: ['WAL_INVALID'],
    shape: 'json',
    seeds: () => [json(processIdentity(process.pid))],
    inputs: 300,
    decode: async (input) => {
      writeFileSync(homeLayout(ownerHome()).ownerPath, input)
      return orRefused(await homeOwner(ownerHome()), 'nobody')
    },
  },
  {
    name: 'control-request',
    covers: ['engine/control/control-protocol.ts#decodeRequest'],
    codes: ['ENGINE_CONTROL_REQUEST'],
    shape: 'json',
    seeds: () => [
      json({ type: 'status' }),
      json({ type: 'checkpoint', digest: true, hashed: false }),
      json({ type: 'hold', purpose: 'a backup', pid: process.pid }),
      json({ type: 'release', id: 'hold.1.00ff.json' }),
      json({ type: 'quiesce', maxMs: 60_000, connected: true }),
      json({ type: 'mark', name: 'month-end' }),
      json({ type: 'prepare', barrier: '2b1c3d4e', name: 'month-end', members: ['a', 'b'], maxMs: 5000 }),
      json({ type: 'held', barrier: '2b1c3d4e' }),
      json({ type: 'commit', barrier: '2b1c3d4e', name: 'month-end' }),
      json({ type: 'leave' }),
      json({ type: 'resume', id: '2b1c3d4e-0000-4000-8000-00ff00ff00ff' }),
    ],
    decode: (input) => decodeRequest(input.toString()),
    encode: json,
  },
  {
    name: 'control-reply',
    covers: ['engine/control/control-protocol.ts#decodeReply'],
    codes: ['ENGINE_CONTROL_FAILED'],
    shape: 'json',
    seeds: () => [
      json({ ok: true, result: { lsn: 7 } }),
      json({ ok: false, error: { code: 'ENGINE_CLOSED', kind: 'closed', message: 'closed', hint: 'open' } }),
    ],
    anyNumber: true,
    decode: (input) => decodeReply(input.toString()),
  },
  {
    name: 'writer-report',
    covers: ['engine/control/meter-call.ts#decodeWriterReport'],
    codes: ['ENGINE_CONTROL_FAILED'],
    shape: 'json',
    seeds: () => [json({ ms: 1200.5, commitCount: 7, longestWaitMs: 3.25 })],
    anyNumber: true,
    decode: (input) => {
      const reply = decodeReply(`{"ok":true,"result":${input.toString()}}`)
      return reply.ok ? decodeWriterReport(reply.result) : new Refused('no result')
    },
  },
  {
    name: 'control-lines',
    covers: ['engine/control/control-protocol.ts#push'],
    codes: ['ENGINE_CONTROL_REQUEST'],
    seeds: () => [
      Buffer.from('{"type":"status"}\n{"type":"switch"}\n'),
      Buffer.from('\n\n'),
      Buffer.from('half a line'),
    ],
    decode: (input) => {
      const lines = new LineSplitter(REQUEST_BYTES_MAX)
      const whole = new LineSplitter(REQUEST_BYTES_MAX).push(input)
      const inParts: string[] = []
      for (let at = 0; at < input.length; at += 7) inParts.push(...lines.push(input.subarray(at, at + 7)))
      if (inParts.join('\n') !== whole.join('\n')) throw new Error('lines depend on how they arrive')
      return whole
    },
  },
]
