import type { BackupFile } from '@timberline/archive'
import { chunkBuffers } from './chunk-buffers.ts'
import type { CopyProgress, HotbackupListener } from './events.ts'
import type { CopyContext } from './sink/file-source.ts'
import type { CompletedOptions } from './options.ts'
import type { RateLimit } from './pace/rate-limit.ts'

/** Counts what has been copied of what is expected, and tells it. */
export interface CopyMeter {
  /** What every copy of this backup shares: files, rate, signal, counting. */
  readonly context: CopyContext
  readonly bytesCopied: number
  readonly bytesReused: number
  /** Announces files to come. */
  expect(files: readonly { readonly bytes: number }[]): void
  copied(file: BackupFile): void
  /** A file that did not need to be copied; it is not among those expected. */
  reused(file: BackupFile): void
}

/** A meter for one backup. */
export function copyMeter(
  options: Pick<CompletedOptions, 'fileSystem' | 'onEvent' | 'signal'>,
  limit: RateLimit,
): CopyMeter {
  const { fileSystem, signal } = options
  const onEvent: HotbackupListener = options.onEvent
  const progress = { bytesCopied: 0, bytesTotal: 0, filesCopied: 0, filesTotal: 0 }
  let bytesReused = 0
  const now = (): CopyProgress => ({ ...progress })
  return {
    context: {
      fileSystem,
      limit,
      buffers: chunkBuffers(),
      signal,
      onBytes(bytes) {
        progress.bytesCopied += bytes
        onEvent({ type: 'progressed', ...now() })
      },
    },
    get bytesCopied() {
      return progress.bytesCopied
    },
    get bytesReused() {
      return bytesReused
    },
    expect(files) {
      progress.filesTotal += files.length
      progress.bytesTotal += files.reduce((sum, file) => sum + file.bytes, 0)
    },
    copied(file) {
      progress.filesCopied += 1
      onEvent({ type: 'file.copied', name: file.name, bytes: file.bytes, ...now() })
    },
    reused({ name, bytes }) {
      bytesReused += bytes
      onEvent({ type: 'file.reused', name, bytes })
    },
  }
}
