/**
 * Fault model: power loss took a piece out of LevelDB's own log, which is never synced. LevelDB skips the block in which the
 * piece was and goes on with the next one, so that later transactions are there and earlier ones are not: a state that never
 * was, whose position says that nothing is missing. No later check could find it, so that log must not be read at all.
 */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { homeLayout } from '../src/home/home-layout.ts'
import { HomeFixture, expectedState } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
/** Large enough that LevelDB flushes nothing by itself: all that came after the checkpoint is in its log alone. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
const BLOCK_BYTES = 32 * 1024
const HOLE_BYTES = 512

test('a hole in LevelDB’s own log never comes into the state, wherever it is', async () => {
  const home = join(folder, 'home')
  const fixture = await HomeFixture.open(home, { writeBufferSize: WRITE_BUFFER_BYTES })
  await fixture.commit(50)
  await fixture.checkpoint()
  await fixture.commit(400)
  const lsn = fixture.lsn
  await fixture.close()
  const { dataDirectory } = homeLayout(home)
  const logs = readdirSync(dataDirectory).filter((name) => name.endsWith('.log'))
  expect(logs).toHaveLength(1)
  const [name = ''] = logs
  const bytes = readFileSync(join(dataDirectory, name))
  let holes = 0
  // From the end on, where the least is written over again behind a hole; not in the last block, behind which nothing comes.
  for (let at = bytes.length - 1.5 * BLOCK_BYTES; at > 0; at -= BLOCK_BYTES / 2) {
    const copy = join(folder, 'copy')
    cpSync(home, copy, { recursive: true })
    writeFileSync(join(homeLayout(copy).dataDirectory, name), Buffer.from(bytes).fill(0, at, at + HOLE_BYTES))
    const again = await HomeFixture.open(copy, { writeBufferSize: WRITE_BUFFER_BYTES })
    expect(await again.level.applied()).toMatchObject({ lsn })
    expect(await again.state(), `a hole at ${String(at)}`).toEqual(expectedState(lsn))
    // The checkpoint is where it starts from; what came after is replayed from our log.
    expect(again.report).toMatchObject({ fromLsn: 51, replayed: 400, rebuilt: false })
    await again.close()
    rmSync(copy, { recursive: true })
    holes += 1
  }
  console.log(`${String(holes)} holes in LevelDB's log, none of them in the state`)
  expect(holes).toBeGreaterThanOrEqual(4)
})
