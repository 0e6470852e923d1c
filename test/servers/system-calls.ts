/** Reads what `strace -f -y -xx` recorded of the files below one folder. */

/** A call that may change files or make changes durable; paths begin at the folder, whose own path is the empty one. */
export type SystemCall = FileCall | SyncCall

/** A change of a file or of names. */
export type FileCall =
  | { readonly type: 'create' | 'truncateToNothing'; readonly path: string }
  | { readonly type: 'write'; readonly path: string; readonly position: number; readonly bytes: Buffer }
  | { readonly type: 'truncate'; readonly path: string; readonly bytes: number }
  | { readonly type: 'makeFolder' | 'removeFolder' | 'remove'; readonly path: string }
  | { readonly type: 'rename' | 'link'; readonly path: string; readonly to: string }

/** A sync covers what had ended before it began, and counts once it has ended; `id` joins the two. */
export interface SyncCall {
  readonly type: 'syncBegan' | 'syncEnded'
  readonly path: string
  readonly id: number
}

/** The calls that must be recorded. */
export const TRACED_CALLS =
  'open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,' +
  'link,linkat,ftruncate,truncate,mkdir,mkdirat,rmdir,fallocate,copy_file_range,sendfile,sync_file_range'

/** All calls below the folder that succeeded, in the order in which they took effect. */
export function readTrace(text: string, folder: string): readonly SystemCall[] {
  const reader = new TraceReader(folder)
  for (const line of text.split('\n')) reader.read(line)
  return reader.calls
}

class TraceReader {
  readonly calls: SystemCall[] = []
  readonly #folder: string
  /** What a thread has begun and not ended. */
  readonly #unfinished = new Map<string, { begin: string; syncId: number }>()
  /** Where the next `write` goes, by descriptor. */
  readonly #positions = new Map<string, number>()
  #syncs = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  read(line: string): void {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest)
    if (resumed !== null) {
      const begun = this.#unfinished.get(thread)
      this.#unfinished.delete(thread)
      if (begun !== undefined) this.#end(begun.begin + (resumed[2] ?? ''), begun.syncId)
      return
    }
    if (!/^\w+\(/.test(rest)) return
    const begin = rest.replace(/ <unfinished \.\.\.>$/, '')
    const syncId = this.#beginSync(begin)
    if (begin === rest) this.#end(rest, syncId)
    else this.#unfinished.set(thread, { begin, syncId })
  }

  #beginSync(begin: string): number {
    const path = /^f(?:data)?sync\(\d+<([^>]*)>/.exec(begin)?.[1]
    const inside = path === undefined ? undefined : this.#inside(path)
    if (inside === undefined) return 0
    this.#syncs += 1
    this.calls.push({ type: 'syncBegan', path: inside, id: this.#syncs })
    return this.#syncs
  }

  #end(text: string, syncId: number): void {
    const [, name = '', inner = '', result = ''] = /^(\w+)\((.*)\)\s+= (-?\d+|\?)/.exec(text) ?? []
    // A sync that failed covers nothing, and no other failed call changed anything.
    if (name === '' || result.startsWith('-') || result === '?') return
    const descriptor = /^(\d+)<([^>]*)>/.exec(inner)
    const strings = [...inner.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) => hex)
    const paths = strings.map((hex) => this.#inside(decode(hex).toString()))
    const path = this.#inside(descriptor?.[2] ?? '')
    const [first, second] = paths
    if (name === 'open' || name === 'openat') {
      if (first !== undefined) this.#opened(first, { inner, descriptor: result })
    } else if (/^f(?:data)?sync$/.test(name)) {
      if (path !== undefined) this.calls.push({ type: 'syncEnded', path, id: syncId })
    } else if (/^(?:write|pwrite64|ftruncate)$/.test(name)) {
      if (path !== undefined) {
        this.#changed(name, path, {
          inner,
          descriptor: descriptor?.[1] ?? '',
          bytes: decode(strings[0] ?? ''),
        })
      }
    } else if (first !== undefined || second !== undefined || path !== undefined) {
      this.#named(name, { first, second, inner })
    }
  }

  #opened(path: string, { inner, descriptor }: { inner: string; descriptor: string }): void {
    this.#positions.set(descriptor, 0)
    if (inner.includes('O_APPEND')) throw new Error('appending is not read: a position would be needed')
    if (inner.includes('O_CREAT')) this.calls.push({ type: 'create', path })
    if (inner.includes('O_TRUNC')) this.calls.push({ type: 'truncateToNothing', path })
  }

  #changed(
    name: string,
    path: string,
    { inner, descriptor, bytes }: { inner: string; descriptor: string; bytes: Buffer },
  ): void {
    const last = Number(/, (\d+)$/.exec(inner)?.[1])
    if (name === 'ftruncate') {
      this.calls.push({ type: 'truncate', path, bytes: last })
      return
    }
    const position = name === 'pwrite64' ? last : (this.#positions.get(descriptor) ?? 0)
    if (name === 'write') this.#positions.set(descriptor, position + bytes.length)
    this.calls.push({ type: 'write', path, position, bytes })
  }

  #named(
    name: string,
    { first, second, inner }: { first: string | undefined; second: string | undefined; inner: string },
  ): void {
    if (first === undefined) throw new Error(`a call that is not read: ${name}`)
    if (name.startsWith('rename') && second !== undefined) {
      this.calls.push({ type: 'rename', path: first, to: second })
    } else if (name.startsWith('link') && second !== undefined) {
      this.calls.push({ type: 'link', path: first, to: second })
    } else if (name.startsWith('mkdir')) this.calls.push({ type: 'makeFolder', path: first })
    else if (name === 'rmdir' || inner.includes('AT_REMOVEDIR')) {
      this.calls.push({ type: 'removeFolder', path: first })
    } else if (name.startsWith('unlink')) this.calls.push({ type: 'remove', path: first })
    else throw new Error(`a call that is not read: ${name}`)
  }

  /** A path from the folder on; `undefined` when it is elsewhere, or no longer has a name. */
  #inside(path: string): string | undefined {
    const plain = path.includes('\\x') ? decode(path).toString() : path
    if (plain !== this.#folder && !plain.startsWith(`${this.#folder}/`)) return undefined
    return plain.endsWith(' (deleted)') ? undefined : plain.slice(this.#folder.length)
  }
}

function decode(hex: string): Buffer {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex')
}
