import { expect, test } from 'vitest'
import { progressLines } from '../src/progress.ts'

test('where there is no terminal, progress is a line each five seconds', () => {
  const lines: string[] = []
  let nowMs = 0
  const progress = progressLines('copying', 'bytes', {
    print: (line) => lines.push(line),
    nowMs: () => nowMs,
  })
  for (let done = 0; done <= 10; done++) {
    progress.update(done * 1_000_000, 10_000_000, '3 s left')
    nowMs += 1000
  }
  progress.end()
  expect(lines).toEqual([
    'copying: 5.0 MB of 10.0 MB (50%), 3 s left',
    'copying: 10.0 MB of 10.0 MB (100%), 3 s left',
  ])
})

test('a total that is not known, or was too small, is no nonsense', () => {
  const lines: string[] = []
  let nowMs = 0
  const progress = progressLines('dumping', 'records', {
    print: (line) => lines.push(line),
    nowMs: () => (nowMs += 6000),
  })
  progress.update(1234, 0)
  progress.update(20, 10)
  expect(lines).toEqual(['dumping: 1,234 records', 'dumping: 20 records of 10 records (100%)'])
})
