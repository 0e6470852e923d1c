/**
 * Commits that wait while the home is copied by other means. Where a test looks at what waits, the pause is an hour long, so that no
 * slowness of the machine can end it; where it must end by itself, it is short, and the test waits for its end.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import { controlCall } from '../src/control/control-call.ts'
import { ControlConnection } from '../src/control/control-connection.ts'
import type { PauseEvent } from '../src/commit/commit-pause.ts'
import { codeOf } from '../src/errors.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import type { EngineEvent } from '../src/session/open-options.ts'
import { quiesceHome } from '../src/session/quiesce-call.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
const HOUR_MS = 3_600_000
let homes = 0

async function openHome(): Promise<{ db: TimberLevel; home: string; events: PauseEvent[] }> {
  homes += 1
  const home = join(folder, `home${homes}`)
  const events: PauseEvent[] = []
  const onEvent = (event: EngineEvent): void => {
    if (event.type === 'commits.paused' || event.type === 'commits.resumed') events.push(event)
  }
  const db = new TimberLevel(home, { onEvent })
  await db.open()
  return { db, home, events }
}

/** Writes without end, several at a time, until told to stop; resolves with the number of acknowledged commits. */
function writeOn(db: TimberLevel): { stop: () => Promise<number> } {
  let isStopped = false
  let acknowledged = 0
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let n = 0; !isStopped; n += 1) {
      await db.put(`${writer}/${n % 100}`, String(n), { sync: n % 3 > 0 })
      acknowledged += 1
    }
  })
  return {
    stop: async () => {
      isStopped = true
      await Promise.all(writers)
      return acknowledged
    },
  }
}

/** All files below, with what is in them. */
function contentOf(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  const files = names.filter((name) => statSync(join(directory, name)).isFile())
  return Object.fromEntries(
    files.map((name) => [name, readFileSync(join(directory, name)).toString('base64')]),
  )
}

async function codeFrom(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(() => undefined, codeOf)
}

describe('quiesce', () => {
  test('a copy of identity, log and checkpoint is the database at the LSN that was told, under writers that never stop', async () => {
    const { db, home, events } = await openHome()
    const writing = writeOn(db)
    while ((await db.homeStatus()).lastLsn < 500) await new Promise(setImmediate)
    await db.checkpoint()
    for (let turn = 0; turn < 3; turn += 1) {
      const quiet = await db.quiesce({ maxMs: HOUR_MS })
      const copy = join(folder, `copy${homes}-${turn}`)
      for (const name of ['timberline.json', 'log', 'checkpoint']) {
        cpSync(join(home, name), join(copy, name), { recursive: true })
      }
      const here = await db.digest()
      const status = await db.homeStatus()
      expect(status).toMatchObject({ appliedLsn: quiet.lsn, durableLsn: quiet.lsn, paused: { id: quiet.id } })
      expect(status.waitingCount).toBe(8)
      expect(await quiet.resume()).toMatchObject({ id: quiet.id, lsn: quiet.lsn })
      const copied = new TimberLevel(copy, { createIfMissing: false })
      await copied.open()
      expect(copied.opened?.state.throughLsn).toBe(quiet.lsn)
      expect(await copied.digest()).toEqual(here)
      await copied.close()
    }
    expect(await writing.stop()).toBeGreaterThan(500)
    expect(events.map(({ type }) => type)).toEqual(
      [0, 1, 2].flatMap(() => ['commits.paused', 'commits.resumed']),
    )
    await db.close()
  })

  test('nothing of log and checkpoints changes, whatever is asked for; reads go on; all of it is done afterwards', async () => {
    const { db, home } = await openHome()
    await db.put('a', '1')
    const quiet = await db.quiesce({ maxMs: HOUR_MS })
    const { logDirectory } = homeLayout(home)
    const before = { log: contentOf(logDirectory), checkpoint: contentOf(join(home, 'checkpoint')) }
    let settled = 0
    const asked = [
      db.put('a', '2'),
      db.mark('later'),
      db.checkpoint(),
      db.switchSegment(),
      db.clear({ lt: 'a' }).then(() => db.put('b', '3')),
    ].map((work) => work.finally(() => (settled += 1)))
    expect(await db.get('a')).toBe('1')
    expect(await db.digest()).toMatchObject({ lsn: quiet.lsn, entries: 1 })
    // Several ticks of the keeper of checkpoints.
    await new Promise((resolve) => setTimeout(resolve, 2500))
    expect(settled).toBe(0)
    expect({ log: contentOf(logDirectory), checkpoint: contentOf(join(home, 'checkpoint')) }).toEqual(before)
    await quiet.resume()
    await Promise.all(asked)
    expect(await db.get('a')).toBe('2')
    expect(await db.get('b')).toBe('3')
    await db.close()
  })

  test('the log ends with a sealed segment', async () => {
    const { db } = await openHome()
    await db.put('a', '1')
    const { activeSegment } = await db.homeStatus()
    const quiet = await db.quiesce({ maxMs: HOUR_MS })
    expect((await db.homeStatus()).activeSegment).toBe(activeSegment + 1)
    await quiet.resume()
    await db.close()
  })

  test('ends by itself after its maximum length, and whoever resumes is told', async () => {
    const { db, home, events } = await openHome()
    const quiet = await db.quiesce({ maxMs: 20 })
    await db.put('a', '1')
    expect(events.at(-1)).toMatchObject({ type: 'commits.resumed', ended: 'expired', purpose: 'quiesce' })
    const told = await quiet.resume().catch((error: unknown) => error)
    expect(told).toMatchObject({ code: 'ENGINE_QUIESCE_ENDED', kind: 'unavailable' })
    expect(String(told)).toMatch(
      /had ended by itself at 2\d{3}-.*Z, because its time had passed: what was copied/,
    )
    // Who gives no id hears it too, once; then there is nothing to resume.
    expect(await codeFrom(controlCall(home, { type: 'resume' }))).toBe('ENGINE_QUIESCE_ENDED')
    expect(await codeFrom(controlCall(home, { type: 'resume' }))).toBe('ENGINE_NOT_QUIESCED')
    await db.close()
  })

  test('the one who comes late does not end the pause of another', async () => {
    const { db, home } = await openHome()
    const first = await db.quiesce({ maxMs: 1 })
    await db.put('a', '1')
    const second = await db.quiesce({ maxMs: HOUR_MS })
    expect(await codeFrom(first.resume())).toBe('ENGINE_QUIESCE_ENDED')
    expect(await controlCall(home, { type: 'resume' })).toMatchObject({ id: second.id })
    // Whose pause was ended by another learns it.
    expect(await codeFrom(second.resume())).toBe('ENGINE_QUIESCE_ENDED')
    expect(await codeFrom(first.resume())).toBe('ENGINE_NOT_QUIESCED')
    await db.close()
  })

  test('one at a time, within the stated bounds', async () => {
    const { db, home } = await openHome()
    const quiet = await db.quiesce()
    expect(quiet.untilUs - quiet.sinceUs).toBe(60_000_000)
    expect(await codeFrom(db.quiesce())).toBe('ENGINE_QUIESCED')
    expect(await codeFrom(quiesceHome(home))).toBe('ENGINE_QUIESCED')
    await quiet.resume()
    for (const maxMs of [0, 1.5, HOUR_MS + 1, Number.NaN]) {
      expect(await codeFrom(db.quiesce({ maxMs }))).toBe('ENGINE_OPTION_INVALID')
    }
    await db.put('a', '1')
    await db.close()
  })

  test('waits for a checkpoint that is under way, and is left when its signal says so', async () => {
    const { db, events } = await openHome()
    await db.put('a', '1')
    const abort = new AbortController()
    const checkpoint = db.checkpoint({ hashed: true })
    const quiet = await db.quiesce({ maxMs: HOUR_MS, signal: abort.signal })
    expect(await checkpoint).toMatchObject({ created: true })
    expect(quiet.lsn).toBe((await db.homeStatus()).lastLsn)
    abort.abort()
    await db.put('a', '2')
    expect(events.at(-1)).toMatchObject({ ended: 'disconnected' })
    expect(await codeFrom(quiet.resume())).toBe('ENGINE_QUIESCE_ENDED')
    expect(await codeFrom(db.quiesce({ signal: abort.signal }))).toBe('ENGINE_QUIESCE_ENDED')
    await db.put('a', '3')
    await db.close()
  })

  test('a database that closes lets what waits through first', async () => {
    const { db, home, events } = await openHome()
    const quiet = await db.quiesce({ maxMs: HOUR_MS })
    const waiting = db.put('a', '1')
    await db.close()
    await waiting
    expect(events.at(-1)).toMatchObject({ ended: 'closed' })
    expect(await codeFrom(quiet.resume())).toBe('ENGINE_QUIESCE_ENDED')
    const again = new TimberLevel(home)
    expect(await again.get('a')).toBe('1')
    await again.close()
  })
})

describe('quiesce from another process', () => {
  test('ends with the process that asked, when that is killed', async () => {
    const { db, home, events } = await openHome()
    const path = fileURLToPath(new URL('support/quiesce-child.ts', import.meta.url))
    const child = spawn(process.execPath, [testProgram(path), home], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    const waiting = db.put('a', '1')
    expect(await controlCall(home, { type: 'status' })).toMatchObject({
      waitingCount: 1,
      paused: { purpose: 'quiesce' },
    })
    child.kill('SIGKILL')
    await waiting
    expect(events.at(-1)).toMatchObject({ ended: 'disconnected' })
    await db.close()
  })

  test('is ended too when the connection was closed before the answer', async () => {
    const { db, home, events } = await openHome()
    const connection = await ControlConnection.open(home)
    const asked = connection.call({ type: 'quiesce', maxMs: HOUR_MS, connected: true })
    connection.close()
    await asked.catch(() => undefined)
    while (events.length < 2) await db.put('a', '1')
    expect(events[1]).toMatchObject({ ended: 'disconnected' })
    await db.close()
  })

  test('holds without a connection until resumed, and refuses what would wait for itself', async () => {
    const { db, home } = await openHome()
    const { id } = (await controlCall(home, { type: 'quiesce', maxMs: HOUR_MS })) as { id: string }
    expect(await codeFrom(controlCall(home, { type: 'checkpoint' }))).toBe('ENGINE_QUIESCED')
    expect(await codeFrom(controlCall(home, { type: 'switch' }))).toBe('ENGINE_QUIESCED')
    const waiting = db.put('a', '1')
    expect(await codeFrom(controlCall(home, { type: 'resume', id: 'another' }))).toBe('ENGINE_NOT_QUIESCED')
    expect(await controlCall(home, { type: 'resume', id })).toMatchObject({ id })
    await waiting
    await db.close()
  })

  test('says that it is over when the owner is gone', async () => {
    const { db, home } = await openHome()
    const quiet = await quiesceHome(home, { maxMs: HOUR_MS })
    await db.close()
    expect(await codeFrom(quiet.resume())).toBe('ENGINE_QUIESCE_ENDED')
  })
})
