/**
 * The port through which every package touches files, so that every fault can be injected. Implementations: `nodeFileSystem`,
 * `promptFileSystem` for processes that do nothing else, and in `@timberline/wal/testing` a crashing one and a fault-injecting
 * wrapper.
 *
 * Durability, as on ext4 and in the stricter POSIX reading: bytes written are durable only after `sync` on a handle of that
 * file; a creation, link, rename or removal is durable only after `syncDirectory` on the folder that holds the name.
 */

/** `read`: an existing file; `write`: an existing file, read and written; `create`: a new file, EEXIST if present. */
export type OpenMode = 'read' | 'write' | 'create'

export interface FileStatus {
  readonly bytes: number
  readonly isDirectory: boolean
  readonly modifiedAtMs: number
  /** Names that share the content (hard links). */
  readonly linkCount: number
}

export interface FileHandle {
  /**
   * Reads into `target` from `position` on; resolves with the bytes read, 0 only at the end of the file. Fewer than asked for are
   * legal anywhere, as in POSIX: who needs all of them uses `readFully`.
   */
  read(target: Uint8Array, position: number): Promise<number>
  /** Writes all of `source` at `position`; a short write is continued, and fails only with the system's error. */
  write(source: Uint8Array, position: number): Promise<void>
  /** Makes all written bytes and the file's length durable (fdatasync); also allowed on a handle opened to read. */
  sync(): Promise<void>
  /** `write` on the calling thread: for small groups whose flush is shorter than a hop to another thread. */
  writeNow(source: Uint8Array, position: number): void
  /** `sync` on the calling thread. */
  syncNow(): void
  truncate(bytes: number): Promise<void>
  status(): Promise<FileStatus>
  close(): Promise<void>
}

/** Errors are the system's own (`code` ENOENT, ENOSPC, EEXIST, …); the caller wraps them in its package's error. */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<FileHandle>
  /** Creates the folder and its missing parents; fine when it exists. */
  makeDirectory(path: string): Promise<void>
  /** Names in a folder, sorted by code unit; ENOENT when there is none. */
  list(path: string): Promise<readonly string[]>
  /** `undefined` when nothing has that name. */
  status(path: string): Promise<FileStatus | undefined>
  /** Gives an existing file a second name; EEXIST when that name is taken. */
  link(existing: string, path: string): Promise<void>
  /**
   * Makes a new file with the content of another by the system's own means, EEXIST when its name is taken; absent where there are none.
   * As with other new files, content and name become durable by `sync` and `syncDirectory`.
   */
  copyFile?(from: string, to: string): Promise<void>
  /** Replaces `to` when it exists, atomically for observers; durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>
  /** Removes a file; ENOENT when missing. */
  remove(path: string): Promise<void>
  /** Removes a folder and all in it; fine when missing. */
  removeTree(path: string): Promise<void>
  syncDirectory(path: string): Promise<void>
  /** Calls back when something in the folder may have changed: a doorbell, not a promise; returns the way to stop. */
  watch(path: string, onChange: () => void): () => void
}
