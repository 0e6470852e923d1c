/** Commits and takes checkpoints as fast as it can until it is killed; prints every LSN whose checkpoint has appeared. */
import { HomeFixture } from './home-fixture.ts'

const [, , home = ''] = process.argv
const fixture = await HomeFixture.open(home)
process.stdout.write(`open ${JSON.stringify(fixture.report)}\n`)
for (;;) {
  await fixture.commit(40)
  process.stdout.write(`committed ${fixture.lsn}\n`)
  const { manifest } = await fixture.checkpoint()
  process.stdout.write(`checkpoint ${manifest.lsn}\n`)
  await fixture.log.removeSegmentsBelow(manifest.segmentNumber)
  if (fixture.lsn % 3 === 0) await fixture.log.roll()
}
