/** What a backup asks of the owner of a home, and what happens when it does not get it. */
import { mkdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { homeLayout, type TimberLevel } from '@timberline/engine'
import { segmentName } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HotbackupEvent } from '../src/events.ts'
import { hotbackup } from '../src/hotbackup.ts'
import { meetOwner } from '../src/owner.ts'
import { interrupted, makeFolder, openUsedHome, restored, write } from './fixture.ts'

let folder = ''
let home = ''
let db: TimberLevel<string, string>

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  db = await openUsedHome(home, 30)
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

function gathered(): { events: HotbackupEvent[]; onEvent: (event: HotbackupEvent) => void } {
  const events: HotbackupEvent[] = []
  return { events, onEvent: (event) => events.push(event) }
}

describe('the owner of a home', () => {
  it('seals the log file that it writes, and the backup says which', async () => {
    const { activeSegment } = await db.homeStatus()
    const { manifest, lsn } = await hotbackup({ home, target: join(folder, 'backup') })
    expect(manifest.sealed).toEqual({ segmentNumber: activeSegment, lsn })
    expect((await db.homeStatus()).activeSegment).toBe(activeSegment + 1)
    expect(manifest.files.map(({ name }) => name)).toContain(`log/${segmentName(activeSegment)}`)
  })

  it('is not made to seal a log file without records: the one before it is sealed', async () => {
    const first = await hotbackup({ home, target: join(folder, 'backup') })
    const { manifest } = await hotbackup({ home, target: join(folder, 'again') })
    expect(manifest.sealed).toEqual(first.manifest.sealed)
  })

  it('seals for an update too, which takes over what was sealed before', async () => {
    const target = join(folder, 'backup')
    await hotbackup({ home, target })
    await write(db, 40)
    const { manifest, copiedBytes, lsn } = await hotbackup({ home, target, update: true })
    expect(manifest.sealed).toEqual({ segmentNumber: (await db.homeStatus()).activeSegment - 1, lsn })
    const copied = manifest.files.filter(({ name }) => /log\.0*[45]$/.test(name))
    expect(copiedBytes).toBe(copied.reduce((sum, { bytes }) => sum + bytes, 0))
    expect((await restored(target)).n).toBe(40)
  })

  it('tells what commits waited while the backup was made, also one that waits still', async () => {
    const fileSystem = interrupted(/tables/, 'open', async () => {
      const pause = await db.quiesce()
      const written = write(db, 31)
      await new Promise((resolve) => setTimeout(resolve, 30))
      await pause.resume()
      await written
    })
    const { writers } = await hotbackup({ home, target: join(folder, 'backup'), fileSystem })
    expect(writers).toMatchObject({ commitCount: 1 })
    expect(writers?.longestWaitMs).toBeGreaterThanOrEqual(25)
  })

  it('may refuse: the log is taken as far as it is durable', async () => {
    const pause = await db.quiesce()
    const { activeSegment } = await db.homeStatus()
    const { events, onEvent } = gathered()
    const { manifest } = await hotbackup({ home, target: join(folder, 'backup'), onEvent })
    expect(manifest.sealed).toBeUndefined()
    const refusal = events.find(({ type }) => type === 'log.unsealed')
    expect(refusal).toMatchObject({ reason: expect.stringMatching(/^ENGINE_QUIESCED /) as unknown })
    expect((await db.homeStatus()).activeSegment).toBe(activeSegment)
    await pause.resume()
    expect((await restored(join(folder, 'backup'))).n).toBe(30)
  })

  it('may be nobody', async () => {
    await db.close()
    const { events, onEvent } = gathered()
    const { manifest, writers } = await hotbackup({ home, target: join(folder, 'backup'), onEvent })
    expect([manifest.sealed, writers]).toEqual([undefined, undefined])
    const reason = 'nobody listens on the control socket of the home'
    expect(events).toContainEqual({ type: 'log.unsealed', reason })
    expect(events).toContainEqual({ type: 'writers.unmetered', reason })
    expect((await restored(join(folder, 'backup'))).n).toBe(30)
  })

  it('that answers late is not waited for before its home is pinned', async () => {
    await db.close()
    const order: string[] = []
    let answer = (): void => undefined
    const pinned = new Promise<void>((resolve) => (answer = resolve))
    const server = createServer((socket) => {
      socket.on('data', () => void pinned.then(() => socket.end()))
      socket.on('close', () => order.push('given up'))
    })
    await listening(server, homeLayout(home).socketPath)
    const onEvent = ({ type }: HotbackupEvent): void => {
      if (type !== 'pinned') return
      order.push(type)
      answer()
    }
    const { writers } = await hotbackup({ home, target: join(folder, 'backup'), onEvent })
    expect(writers).toBeUndefined()
    expect(order[0]).toBe('pinned')
    await new Promise((resolve) => server.close(resolve))
  })

  it('that does not answer is asked once, and not waited for again', async () => {
    const silent = join(folder, 'silent')
    await mkdir(silent)
    let asked = 0
    const server = createServer((socket) => {
      asked += 1
      socket.resume()
    })
    await listening(server, homeLayout(silent).socketPath)
    const { events, onEvent } = gathered()
    const owner = meetOwner({ home: silent, onEvent, timeoutMs: 20 })
    expect([await owner.seal(), await owner.writers()]).toEqual([undefined, undefined])
    expect(asked).toBe(1)
    expect(events.map(({ type }) => type)).toEqual(['log.unsealed', 'writers.unmetered'])
    owner.close()
    await new Promise((resolve) => server.close(resolve))
  })
})

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve) => server.listen(path, resolve))
}
