import { describe, expect, test } from 'vitest'
import { openError } from '../src/state/state.ts'

describe('what LevelDB says when it cannot open', () => {
  const said = (message: string): Error => new Error('Database failed to open', { cause: new Error(message) })

  test.each([
    ['No space left on device', 'ENOSPC'],
    ['Read-only file system', 'EROFS'],
    ['Too many open files', 'EMFILE'],
    ['Too many open files in system', 'ENFILE'],
  ])('is the disk’s refusal, not damage that a rebuild would mend: %s', (words, systemCode) => {
    expect(openError(said(`IO error: home/data/000002.dbtmp: ${words}`), 'home/data')).toMatchObject({
      code: 'ENGINE_IO_FAILED',
      kind: 'unavailable',
      details: { systemCode },
    })
  })

  test('is damage when a file is missing or no table', () => {
    for (const message of [
      'Corruption: 2 missing files',
      'IO error: home/data/MANIFEST-000004: No such file',
    ]) {
      expect(openError(said(message), 'home/data')).toMatchObject({ code: 'ENGINE_STATE_DAMAGED' })
    }
  })
})
