/** Two may have something to keep from readers at once: a load, and a group that the device has not flushed yet. */
import { ClassicLevel } from 'classic-level'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ShownState } from '../src/shown-state.ts'
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

  it('stays what a load shows them, whoever keeps them there beside it', async () => {
    const load = shown.freeze()
    await level.put('a', '2')
    shown.keep()()
    expect(read()).toBe('1')
    load.release()
    expect(read()).toBe('2')
  })

  it('is what a load shows that came after, also when the one before lets go', async () => {
    const show = shown.keep()
    const load = shown.freeze()
    await level.put('a', '2')
    show()
    expect(read()).toBe('1')
    load.release()
    expect(read()).toBe('2')
  })

  it('needs LevelDB as long as they are kept at a state of it, and somebody reads that', async () => {
    const position = { lsn: 0, committedAtUs: 0 }
    const show = shown.keep()
    expect(shown.freezeEmpty(position)).toBeUndefined()
    const reading = shown.get('a', { keyEncoding: 'utf8', valueEncoding: 'utf8' } as object)
    show()
    expect(shown.freezeEmpty(position)).toBeUndefined()
    expect(await reading).toBe('1')
    await shown.letGo()
    expect(shown.freezeEmpty(position)).toBeDefined()
  })
})
