// A pause that cannot be begun leaves nothing behind that commits would wait for.
import { expect, it } from 'vitest'
import { CommitPause, type PauseEvent } from '../src/commit/commit-pause.ts'

it.each([
  ['checkpoints come to no rest', 'rest', []],
  ['what is under way cannot be settled', 'settle', ['failed']],
])(
  'lets commits go on when %s, says so where they waited, and another one can begin',
  async (_, at, told) => {
    const failed = (step: string): Promise<void> =>
      step === at ? Promise.reject(new Error('disk')) : Promise.resolve()
    const events: PauseEvent[] = []
    let releases = 0
    let rests = 0
    const pause = new CommitPause(
      () => (releases += 1),
      (event) => events.push(event),
    )
    const request = { purpose: 'quiesce', maxMs: 60_000 } as const
    const begun = pause.begin({
      ...request,
      rest: () => ({ begun: failed('rest'), end: () => (rests += 1) }),
      settle: () => failed('settle').then(() => 7),
    })
    await expect(begun).rejects.toThrow('disk')
    expect([pause.isShut, pause.info, releases, rests]).toEqual([false, undefined, 1, 1])
    expect(events.map((event) => event.type === 'commits.resumed' && event.ended)).toEqual(told)
    const { id, lsn } = await pause.begin({ ...request, settle: () => Promise.resolve(8) })
    expect([lsn, pause.isShut]).toEqual([8, true])
    expect(pause.resume(id)).toMatchObject({ id, lsn: 8 })
    await pause.ended()
  },
)
