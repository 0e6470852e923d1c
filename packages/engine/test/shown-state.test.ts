/** Two may have something to keep from readers at once: a load, and a group that the device has not flushed yet. */
import { ClassicLevel } from 'classic-level'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ShownState } from '../src/level/shown-state.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let count = 0

describe('what readers are shown', () => {
  let level: ClassicLevel
  let shown: ShownState
  const read = (): unknown => shown.getSync('a', { keyEncoding: 'utf8', valueEncoding: 'utf8' } as object)

  beforeEach(async () => {
    level = new ClassicLevel(join(folder, String((count += 1))))
    await level.put('a', '1')
    shown = new ShownState(level as never)
  })
  afterEach(async () => {
    await shown.letGo()
    await level.close()
  })

  it('is the state at which they are kept, until they are let go', async () => {
    const show = shown.keep()
    await level.put('a', '2')
    expect(read()).toBe('1')
    show()
    expect(read()).toBe('2')
  })

  it('is not what a read sees that was asked before: LevelDB pins the state for each read when it is asked', () => {
    expect(level.supports.implicitSnapshots).toBe(true)
  })

  it('stays what a load shows them, whoever keeps them there beside it', async () => {
    const load = shown.freeze()
    await level.put('a', '2')
    const show = shown.keep()
    const seen = [read()]
    show()
    seen.push(read())
    load.release()
    seen.push(read())
    expect(seen).toEqual(['1', '1', '2'])
  })

  it('is what a load shows that came after, also when the one before lets go', async () => {
    const show = shown.keep()
    const load = shown.freeze()
    await level.put('a', '2')
    show()
    const seen = [read()]
    load.release()
    seen.push(read())
    // LevelDB could not be closed below a snapshot, so nothing is asked before both are let go.
    expect(seen).toEqual(['1', '2'])
  })

  it('needs LevelDB as long as they are kept at a state of it, and somebody reads that', async () => {
    const position = { lsn: 0, committedAtUs: 0 }
    const isFree = (): boolean => {
      const empty = shown.freezeEmpty(position)
      empty?.release()
      return empty !== undefined
    }
    const show = shown.keep()
    const free = [isFree()]
    const reading = shown.get('a', { keyEncoding: 'utf8', valueEncoding: 'utf8' } as object)
    show()
    free.push(isFree())
    expect(await reading).toBe('1')
    await shown.letGo()
    free.push(isFree())
    expect(free).toEqual([false, false, true])
  })
})
