/** How fast a copy may be by its options, and what is said when that is slow. */
import { expect, test } from 'vitest'
import type { Surroundings } from '../src/command.ts'
import { copyProgress } from '../src/commands/copy-progress.ts'
import { BESIDE_WRITERS_MB_PER_S, ratesOf } from '../src/copy-rate.ts'
import { parseCommandLine } from '../src/parser.ts'

function ratesBy(...more: readonly string[]): unknown {
  const request = parseCommandLine(['hotbackup', '-h', 'home', '-b', 'target', ...more], '')
  return request.type === 'run' ? ratesOf(request.args) : undefined
}

/** Where a command prints, with all that it did. */
function printed(): {
  readonly surroundings: Surroundings
  readonly warnings: string[]
  readonly notes: string[]
} {
  const warnings: string[] = []
  const notes: string[] = []
  const surroundings: Surroundings = {
    json: false,
    signal: new AbortController().signal,
    input: (async function* () {
      yield* []
    })(),
    write: async () => undefined,
    tell: () => undefined,
    warn: (line) => warnings.push(line),
    progress: () => ({ update: (_done, _total, note = '') => notes.push(note), end: () => undefined }),
  }
  return { surroundings, warnings, notes }
}

const progressed = (bytesCopied: number, bytesTotal: number) =>
  ({ type: 'progressed', bytesCopied, bytesTotal, filesCopied: 0, filesTotal: 1 }) as const

test('a copy has the limit beside writers, unless a rate is asked for, none, or all there is', () => {
  expect(ratesBy()).toEqual({ maxMbPerSBesideWriters: BESIDE_WRITERS_MB_PER_S })
  expect(ratesBy('--max-mb-per-s', '2.5')).toEqual({ maxMbPerS: 2.5 })
  expect(ratesBy('--max-mb-per-s', 'none')).toEqual({})
  expect(ratesBy('--max-mb-per-s', 'full')).toEqual({ maxMbPerS: Infinity })
  expect(() => ratesBy('--max-mb-per-s', '0')).toThrow(/rate, none or full/)
})

test('more than a minute at the limit is warned of, once, and the progress tells the limit while it holds', () => {
  const { surroundings, warnings, notes } = printed()
  const { onEvent } = copyProgress(surroundings)
  onEvent(progressed(0, 100e9))
  onEvent({ type: 'rate.limited', bytesPerS: 25e6 })
  onEvent(progressed(0, 100e9))
  onEvent(progressed(1e6, 100e9))
  onEvent({ type: 'rate.lifted' })
  onEvent(progressed(2e6, 100e9))
  expect(warnings).toEqual([
    'the database is being written to, so the copy keeps to 25.0 MB/s: 100.0 GB take 1 h 06 min; --max-mb-per-s none copies at full speed',
  ])
  const limited = 'at most 25.0 MB/s beside the writer'
  expect(notes).toEqual(['', limited, limited, ''])
})

test('less than a minute is not worth a warning', () => {
  const { surroundings, warnings } = printed()
  const { onEvent } = copyProgress(surroundings)
  onEvent({ type: 'rate.limited', bytesPerS: 25e6 })
  onEvent(progressed(0, 1.4e9))
  expect(warnings).toEqual([])
})
