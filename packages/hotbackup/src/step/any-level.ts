import type { AbstractLevel, AbstractSnapshot } from 'abstract-level'

/**
 * Any database of abstract-level, whatever its class, keys and values: what a step-by-step copy needs of one. The classes themselves
 * are not assignable to each other, because each knows itself in its hooks.
 */
export interface AnyLevel {
  readonly supports: { readonly explicitSnapshots?: boolean | undefined }
  open(): Promise<void>
  snapshot(): AbstractSnapshot
  keyEncoding(): { readonly commonName: string }
  valueEncoding(): { readonly commonName: string }
  iterator(options: object): unknown
  keys(options: object): unknown
  batch(): unknown
}

/** The same database, read and written as bytes; each call says so in its options. */
export function asBuffers(level: AnyLevel): AbstractLevel<Buffer, Buffer, Buffer> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- abstract-level's own interface, with encodings in each call
  return level as unknown as AbstractLevel<Buffer, Buffer, Buffer>
}
