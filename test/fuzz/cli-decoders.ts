// What people and scripts hand to the command: its words, times, dumps, conditions, and what it prints of a log.
import { encodeNote, encodeTransaction } from '@timberline/engine'
import { decodeLine, encodeEntry } from '../../packages/cli/src/dump-format.ts'
import { exitCodeOf } from '../../packages/cli/src/exit-code.ts'
import { formatInstant, parseBerkeleyInstant, parseInstant } from '../../packages/cli/src/instant.ts'
import { formatSpan, parseSpan } from '../../packages/cli/src/span.ts'
import { readRecord, recordDocument, recordLines } from '../../packages/cli/src/log-record.ts'
import { parseMetaCondition, selectionOf, selectRecord } from '../../packages/cli/src/log-selection.ts'
import { parseCommandLine } from '../../packages/cli/src/parser.ts'
import { jsonText } from '../../packages/cli/src/readable.ts'
import { decodeOutcome, errorTold } from '../../packages/cli/src/spool/outcome-marker.ts'
import { decodeWorker } from '../../packages/cli/src/spool/worker-lock.ts'
import type { Decoder } from './decoder.ts'

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const words = (line: string): Buffer => Buffer.from(line.split(' ').join('\0'))
const TRANSACTION = encodeTransaction({
  operations: [
    { type: 'put', key: 'FR/Paris', value: Buffer.from([0, 1, 2]) },
    { type: 'del', key: 'x' },
  ],
  meta: { actor: 'import-7', request: { id: 5 } },
})
const KINDS = ['entry', 'note', 'mark'] as const

export const cliDecoders: readonly Decoder[] = [
  {
    name: 'dump-line',
    covers: ['cli/dump-format.ts#decodeLine', 'cli/dump-format.ts#parseObject'],
    codes: ['CLI_LOAD_FORMAT'],
    shape: 'json',
    seeds: () => [
      json({ timberline: 'dump', format: 1, environmentId: '00'.repeat(16), timeline: 1, lsn: 7 }),
      Buffer.from(encodeEntry({ key: Buffer.from('key'), value: Buffer.from([0xff, 0x00]) })),
      json({ end: true, entries: 7, sha256: 'ab'.repeat(32) }),
    ],
    inputs: 1500,
    decode: (input) => decodeLine(input.toString(), 1),
  },
  {
    name: 'instant',
    covers: ['cli/instant.ts#parseInstant'],
    codes: ['CLI_USAGE'],
    shape: 'text',
    seeds: () =>
      [
        '2026-11-24T18:30:00.000001Z',
        '2026-11-24 18:30+02:00',
        '1999-12-31T23:59:59.5-0930',
        '0001-01-01T00:00:00Z',
      ].map((text) => Buffer.from(text)),
    inputs: 2000,
    // From the year 2256 on, microseconds are no safe integers; as a bound of a selection such a time is as good as another.
    anyNumber: true,
    decode: (input) => {
      const atUs = parseInstant(input.toString())
      const asked = /^(\d{4})-(\d\d)/.exec(input.toString().trim())?.[1]
      // A zone moves a time by hours: by more than a year, nothing may.
      const got = Number(formatInstant(atUs).slice(0, 4))
      if (Math.abs(got - Number(asked)) > 1)
        throw new Error(`the year ${String(asked)} became ${String(got)}`)
      return { atUs }
    },
  },
  {
    name: 'span',
    covers: ['cli/span.ts#parseSpan'],
    codes: ['CLI_USAGE'],
    shape: 'text',
    seeds: () => ['7d', '8w', '36h', '90min', '30s'].map((text) => Buffer.from(text)),
    decode: (input) => {
      const us = parseSpan(input.toString())
      if (parseSpan(formatSpan(us).replace(' ', '')) !== us) throw new Error('told otherwise than read')
      return { us }
    },
  },
  {
    name: 'berkeley-instant',
    covers: ['cli/instant.ts#parseBerkeleyInstant'],
    codes: ['CLI_USAGE'],
    shape: 'text',
    seeds: () =>
      ['11241830', '2611241830', '202611241830.59', '2026-11-24T18:30:00Z'].map((text) => Buffer.from(text)),
    anyNumber: true,
    decode: (input) => ({ atUs: parseBerkeleyInstant(input.toString(), () => new Date(1_700_000_000_000)) }),
  },
  {
    name: 'command-line',
    covers: [
      'cli/parser.ts#parseCommandLine',
      'cli/arguments.ts#wholeNumber',
      'cli/log-selection.ts#selectionOf',
    ],
    codes: ['CLI_USAGE'],
    shape: 'text',
    seeds: () => [
      words('printlog -h ./home -b 1000 --key FR/ --meta actor=import-7 --since 2026-11-24T18:30:00Z'),
      words('recover --from /backups/app -h ./home --until-time 2026-11-24T18:30:00Z --before'),
      words('hotbackup -h ./home -b /backups/copy -u --max-mb-per-s 12.5'),
      words('archive push -a /backups/pg file name'),
      words('checkpoint -h ./home -k 1000'),
    ],
    anyNumber: true,
    inputs: 300,
    allocationBytes: 1024 * 1024,
    decode: (input) => {
      const request = parseCommandLine(input.toString().split('\0'), '0.1.0')
      if (request.type === 'print') return request.text.length
      return [request.row.name, request.args.operands, request.args.has('home'), selectionOf(request.args)]
    },
  },
  {
    name: 'meta-condition',
    takesAnything: true,
    covers: ['cli/log-selection.ts#parseMetaCondition'],
    codes: [],
    shape: 'text',
    seeds: () => ['actor=import-7', 'request.id=5', 'actor', 'request.id'].map((text) => Buffer.from(text)),
    decode: (input) => {
      const condition = parseMetaCondition(input.toString())
      const record = { lsn: 1, committedAtUs: 1, kind: 'entry', payload: TRANSACTION } as const
      const bounds = { beginLsn: 1, endLsn: 9, sinceUs: 0, untilUs: 9, limit: 9 }
      const selection = { ...bounds, keyPrefix: undefined, kind: undefined, meta: [condition] }
      return { condition, found: selectRecord(readRecord(record), selection) !== undefined }
    },
  },
  {
    name: 'printed-record',
    takesAnything: true,
    covers: ['cli/log-record.ts#readRecord', 'recovery/history/transaction-brief.ts#briefOf'],
    codes: [],
    shape: 'msgpack',
    seeds: () => [
      Buffer.concat([Buffer.from([0]), TRANSACTION]),
      Buffer.concat([
        Buffer.from([1]),
        encodeNote({ type: 'checkpoint', lsn: 7, segmentNumber: 2, tables: 3 }),
      ]),
      Buffer.from('\u0002release-4'),
    ],
    inputs: 1500,
    // Whatever a payload holds, it can be printed for people and for machines.
    decode: (input) => {
      const kind = KINDS[(input[0] ?? 0) % KINDS.length] ?? 'entry'
      const record = readRecord({ lsn: 1, committedAtUs: 1, kind, payload: input.subarray(1) })
      return [recordLines(record, 60), jsonText(recordDocument(record), 2)]
    },
  },
  {
    name: 'spool-files',
    takesAnything: true,
    covers: ['cli/spool/outcome-marker.ts#decodeOutcome', 'cli/spool/worker-lock.ts#decodeWorker'],
    codes: [],
    shape: 'json',
    seeds: () => [
      json({ archive: '/backups/pg', bytes: 16_777_216, sha256: 'ab'.repeat(32) }),
      json({
        archive: 's3://b/p',
        error: { code: 'ARCHIVE_CONFLICT', kind: 'conflict', hint: '', message: 'x' },
      }),
      json({ pid: 17, startedAt: '4711', bootId: 'c0ffee' }),
    ],
    // Whatever lies in a spool, an error told from it can be thrown and ends with an exit code.
    decode: (input) => {
      const told = decodeOutcome('error', input)
      const code = told?.type === 'error' ? exitCodeOf(errorTold(told.error)) : 0
      if (!Number.isInteger(code)) throw new Error(`the exit code became ${String(code)}`)
      return [told, decodeOutcome('ok', input), decodeWorker(input)]
    },
  },
]
