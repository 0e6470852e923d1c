/**
 * Programs made for Level, copied hot: each still has its database open when the backup is made, and gives the same answers on the
 * home that is recovered from it as on classic-level.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createArchive, memoryStore } from '@timberline/archive'
import { readHomeIdentity, TimberLevel, type TimberLevelOptions } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { ClassicLevel } from 'classic-level'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { levelPrograms, type LevelClass } from './support/level-programs.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-level-programs-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A TimberLevel that does this when its program is done and has not closed yet. */
function atTheEnd(work: (home: string) => Promise<void>): LevelClass {
  class WatchedLevel<K, V> extends TimberLevel<K, V> {
    readonly #home: string
    #worked = false

    constructor(location: string, options?: TimberLevelOptions<K, V>) {
      super(location, options)
      this.#home = location
    }

    override async close(): Promise<void> {
      if (this.status === 'open' && !this.#worked) {
        this.#worked = true
        await work(this.#home)
      }
      await super.close()
    }
  }
  return WatchedLevel as unknown as LevelClass
}

describe.each(levelPrograms)('$name', (program) => {
  test('gives the same answers after a hot backup and its recovery', async () => {
    const place = (name: string): string => join(folder, `${program.name}-${name}`)
    await program.fill(ClassicLevel, place('classic'))
    const expected = await program.answers(ClassicLevel, place('classic'))
    let copies = 0
    const Level = atTheEnd(async (home) => {
      await hotbackup({ home, target: place('backup') })
      const archive = await createArchive(memoryStore(), await readHomeIdentity(home))
      await hotbackup({ home, target: { archive } })
      await recover({ from: { archive }, home: place('from-archive') })
      await recover({ from: { backup: place('backup') }, home: place('from-folder') })
      copies += 2
    })
    await program.fill(Level, place('home'))
    await rm(place('home'), { recursive: true })
    expect(copies).toBe(2)
    const Timber = TimberLevel as unknown as LevelClass
    expect(await program.answers(Timber, place('from-archive'))).toEqual(expected)
    expect(await program.answers(Timber, place('from-folder'))).toEqual(expected)
  })
})
