/**
 * Backups are byte-order independent (row B2): what a big-endian machine writes from the documents is read here, and what is written
 * here is, byte for byte, what such a machine would have written.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createArchive, nativeGzip, openStore } from '@timberline/archive'
import {
  decodeTransaction,
  encodeTransaction,
  homeLayout,
  type Operation,
  TimberLevel,
} from '@timberline/engine'
import { placeHold } from '@timberline/wal'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeObject } from '../../packages/archive/src/objects/object-codec.ts'
import { decodeApplied, encodeApplied } from '../../packages/engine/src/reserved-keys.ts'
import { decodeDelta, encodeDelta } from '../../packages/recovery/src/delta/delta-codec.ts'
import { decodePlainly } from '../../packages/wal/test/independent-decoder.ts'
import { packageNames, root } from '../repository.ts'
import {
  machineApplied,
  machineDelta,
  machineDigestInput,
  machineObject,
  machineSegment,
  machineTransaction,
  type MachineSegment,
  type MachineWrite,
} from './big-endian-machine.ts'
import { ends0, Scenes } from './home-scenes.ts'

const scenes = new Scenes()
beforeAll(() => scenes.begin())
afterAll(() => scenes.end())

const ENVIRONMENT = '00112233445566778899aabbccddeeff'
const T = 1_700_000_000_000_000n
const NOTHING_BEFORE = { number: 0n, bytes: 0n, time: 0n, sealChecksum: 0 }
/** Its bytes differ from each other, so that no two of them can change places unseen. */
const LONG = 'x'.repeat(0x0102)

const sha256 = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex')

async function* streamOf<Item>(...items: readonly Item[]): AsyncGenerator<Item> {
  for (const item of items) yield await Promise.resolve(item)
}

async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

function operationsOf(writes: readonly MachineWrite[]): readonly Operation[] {
  return writes.map(({ key, value }) =>
    value === undefined
      ? { type: 'del', key: Buffer.from(key) }
      : { type: 'put', key: Buffer.from(key), value: Buffer.from(value) },
  )
}

const entry = (time: bigint, ...writes: readonly MachineWrite[]) => ({
  kind: 1,
  time,
  payload: machineTransaction(writes),
})

/** A log of two segments: groups, a mark, a seal, a link, a fence. */
const logOfTheMachine = (): readonly Uint8Array[] => {
  const first: MachineSegment = {
    environmentId: ENVIRONMENT,
    timeline: 1,
    number: 1n,
    firstLsn: 1n,
    created: T,
    previous: NOTHING_BEFORE,
    frames: [
      { durableLsn: 0n, records: [entry(T + 10n, { key: 'a', value: '1' }, { key: 'b', value: LONG })] },
      {
        durableLsn: 1n,
        records: [
          entry(T + 20n, { key: 'a' }, { key: 'c', value: '3' }),
          { kind: 2, time: T + 21n, payload: Buffer.from('before-import') },
        ],
      },
    ],
    seal: { durableLsn: 3n },
  }
  const bytes = machineSegment(first)
  const plain = decodePlainly(bytes)
  const second: MachineSegment = {
    ...first,
    number: 2n,
    firstLsn: 4n,
    created: T + 30n,
    previous: {
      number: 1n,
      bytes: BigInt(bytes.length),
      time: T + 21n,
      sealChecksum: plain.frames.at(-1)?.checksum ?? 0,
    },
    frames: [
      { durableLsn: 3n, records: [entry(T + 40n, { key: 'd', value: '4' })] },
      { durableLsn: 4n, records: [] },
    ],
    seal: undefined,
  }
  return [bytes, machineSegment(second)]
}

describe('B2: backups are byte-order independent', () => {
  test('B2: every document of a format states its byte order', async () => {
    const documents = packageNames().map((name) => join(root, 'packages', name, 'FORMAT.md'))
    const texts = await Promise.all(documents.map((path) => readFile(path, 'utf8').catch(() => undefined)))
    const found = texts.filter((text) => text !== undefined)
    expect(found.length).toBeGreaterThan(3)
    for (const text of found) expect(text).toMatch(/little-endian|no byte order/)
  })

  test('B2: a log that a big-endian machine wrote becomes a database here', async () => {
    const home = scenes.path('home')
    const { logDirectory, identityPath } = homeLayout(home)
    await mkdir(logDirectory, { recursive: true })
    const identity = { format: 1, environmentId: ENVIRONMENT, timeline: 1, createdAtUs: Number(T) }
    await writeFile(identityPath, JSON.stringify(identity))
    for (const [index, segment] of logOfTheMachine().entries())
      await writeFile(join(logDirectory, `log.000000000${String(index + 1)}`), segment)
    const { out } = await ends0(['printlog', '-h', home, '--kind', 'mark'])
    expect(out).toMatch(/^\[3\] 2023-11-14T22:13:20\.000021Z mark "before-import"$/m)
    await using db = new TimberLevel<string, string>(home)
    expect(await db.iterator().all()).toEqual([
      ['b', LONG],
      ['c', '3'],
      ['d', '4'],
    ])
    const digested = machineDigestInput([
      ['b', LONG],
      ['c', '3'],
      ['d', '4'],
    ])
    expect((await db.digest()).hex).toBe(sha256(digested))
  })

  test('B2: a log that was written here is what that machine would have written', async () => {
    const home = scenes.path('home')
    const db = new TimberLevel<string, string>(home)
    await db.open()
    const hold = await placeHold(homeLayout(home).logDirectory, { purpose: 'keep the sealed one' })
    await Promise.all([db.put('a', '1'), db.put('b', LONG), db.del('c')])
    await db.mark('a mark')
    await db.switchSegment()
    await db.put('d', 'é'.repeat(300))
    await db.close()
    await hold.release()
    const { logDirectory } = homeLayout(home)
    const names = (await readdir(logDirectory)).filter((name) => /^log\.\d+$/.test(name)).toSorted()
    let sealed = 0
    for (const name of names) {
      const bytes = await readFile(join(logDirectory, name))
      const plain = decodePlainly(bytes)
      const frames = plain.frames.filter(({ type }) => type !== 2)
      const seal = plain.frames.find(({ type }) => type === 2)
      sealed += seal === undefined ? 0 : 1
      const again = machineSegment({ ...plain, frames, seal })
      expect(Buffer.from(again).equals(bytes.subarray(0, plain.end)), name).toBe(true)
      expect(bytes.subarray(plain.end).every((byte) => byte === 0)).toBe(true)
    }
    expect(sealed).toBeGreaterThan(0)
  })

  test('B2: so it is with transactions, which are MessagePack', () => {
    const writes = [{ key: 'a', value: LONG }, { key: 'gone' }, { key: 'é', value: '' }]
    const theirs = machineTransaction(writes)
    expect(decodeTransaction(theirs).operations).toEqual(operationsOf(writes))
    expect(encodeTransaction({ operations: operationsOf(writes) })).toEqual(Buffer.from(theirs))
  })

  test('B2: with the applied position in the data files', () => {
    const position = { lsn: 0x01_02_03_04_05_06, committedAtUs: 1_700_000_000_123_456 }
    const theirs = machineApplied(position.lsn, position.committedAtUs)
    expect(decodeApplied(theirs)).toEqual(position)
    expect(encodeApplied(position)).toEqual(Buffer.from(theirs))
  })

  test('B2: with deltas', async () => {
    const header = {
      environmentId: ENVIRONMENT,
      timeline: 0x0102,
      firstLsn: 0x01_02_03,
      lastLsn: 0x01_02_03_04,
      lastCommittedAtUs: Number(T),
    }
    const writes = [{ key: 'a', value: LONG }, { key: 'b' }]
    const theirs = machineDelta(header, writes)
    const operations: Operation[] = []
    for await (const batch of decodeDelta(streamOf(theirs), header)) operations.push(...batch)
    expect(operations).toEqual(operationsOf(writes))
    expect(await collected(encodeDelta(header, streamOf(operationsOf(writes))))).toEqual(Buffer.from(theirs))
  })

  test('B2: with the objects of an archive', async () => {
    const path = scenes.path('archive')
    await createArchive(openStore(path), { environmentId: ENVIRONMENT })
    const name = 'file/from-afar'
    const theirs = machineObject(name, LONG, sha256(LONG))
    const object = join(path, name)
    await mkdir(dirname(object), { recursive: true })
    await writeFile(object, theirs)
    const fetched = scenes.path('fetched')
    await ends0(['archive', 'get', '-a', path, 'from-afar', fetched])
    expect(await readFile(fetched, 'utf8')).toBe(LONG)
    const source = { read: () => streamOf(Buffer.from(LONG)) }
    const envelope = { codec: 'none', bytes: LONG.length, sha256: sha256(LONG) } as const
    expect(await collected(encodeObject(name, { envelope, source }, nativeGzip()))).toEqual(
      Buffer.from(theirs),
    )
  })
})
