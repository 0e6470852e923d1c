// What became of one key, printed as it is read: an archive may hold years of log.
import { type KeyEvent, keyHistory } from '@timberline/recovery'
import type { Archive } from '@timberline/archive'
import type { Command } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { binaryField, formatBinary, jsonText } from '../readable.ts'
import { readableArchive } from '../archive-access.ts'

const SHOWN_BYTES_MAX = 120

/** `timberline history`: every transaction that changed a key. */
export const historyCommand: Command = async (args, surroundings) => {
  const text = args.required('key')
  const key = text.startsWith('0x') ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text, 'utf8')
  const url = args.text('archive')
  const archive = url === undefined ? undefined : await readableArchive(url, args)
  const timeline = args.number('timeline')
  const show = args.flag('full') ? Infinity : SHOWN_BYTES_MAX
  let count = 0
  try {
    const events = keyHistory({
      from: sourceOf(archive, args.text('home') ?? ''),
      key,
      signal: surroundings.signal,
      ...(timeline === undefined ? {} : { timeline }),
    })
    if (surroundings.json) await surroundings.write('[\n')
    for await (const event of events) {
      const line = surroundings.json ? jsonText(documentOf(event)) : lineOf(event, show)
      await surroundings.write(surroundings.json ? `${count === 0 ? '' : ',\n'}${line}` : `${line}\n`)
      count += 1
    }
    if (surroundings.json) await surroundings.write('\n]\n')
    return surroundings.json || count > 0
      ? {}
      : { lines: ['no transaction that can be read changed this key'] }
  } finally {
    await archive?.close()
  }
}

function sourceOf(archive: Archive | undefined, home: string): { home: string } | { archive: Archive } {
  return archive === undefined ? { home } : { archive }
}

function lineOf(event: KeyEvent, bytesMax: number): string {
  if (event.type === 'hole')
    return `[${String(event.fromLsn)}…${String(event.throughLsn)}] cannot be read: the key may have changed here`
  const head = `[${String(event.lsn)}] ${formatInstant(event.committedAtUs)}`
  if (event.type === 'loaded') return `${head} data was loaded beside the log: the key may be among it`
  const shown = (value: Buffer | string): string =>
    typeof value === 'string' ? value : formatBinary(value, bytesMax)
  const meta = event.meta === undefined ? '' : ` ${jsonText(event.meta)}`
  return `${head} ${shown(event.before)} -> ${shown(event.after)}${meta}`
}

/** A value is the field `before` or `beforeHex`; where there is none, `beforeState` says why. */
function documentOf(event: KeyEvent): unknown {
  if (event.type === 'hole') return event
  const { committedAtUs, ...rest } = event
  const head = { ...rest, committedAt: formatInstant(committedAtUs), committedAtUs }
  if (event.type === 'loaded') return head
  const field = (name: string, value: Buffer | string): object =>
    typeof value === 'string' ? { [`${name}State`]: value } : binaryField(name, value)
  const { type, lsn, meta } = event
  return {
    type,
    lsn,
    committedAt: formatInstant(committedAtUs),
    committedAtUs,
    ...(meta === undefined ? {} : { meta }),
    ...field('before', event.before),
    ...field('after', event.after),
  }
}
