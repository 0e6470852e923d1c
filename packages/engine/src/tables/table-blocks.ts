// The module that makes the data blocks of a table: compiled once, and given the memory of each window that becomes one.
import { TABLE_BLOCKS_MODULE } from './table-blocks-module.ts'

/** See `wasm/table-blocks.ts`; addresses and numbers of 32 bits, which JavaScript takes for signed. */
export interface TableBlocks {
  begin(contentAt: number, placesAt: number, orderAt: number, operations: number): void
  number(low: number, high: number, filtersAt: number): void
  beginPiece(at: number): void
  addBlock(place: number): number
  pieceEnd(): number
  filtersEnd(): number
  lastAdded(): number
}

/** Memory that a module can be given. */
export interface ModuleMemory {
  readonly buffer: SharedArrayBuffer
}

/** The part of Node's WebAssembly that is used here; its declarations leave all of it out. */
interface WebAssemblyOfNode {
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => ModuleMemory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: { env: { memory: ModuleMemory } }) => { exports: unknown }
}

/** What the machine counts such memory in. */
export const PAGE_BYTES = 65_536

let compiled: object | undefined

/**
 * Whether this process can make tables: it may run without WebAssembly, or be denied the addresses that V8 reserves for each of the two windows that
 * are filled in turns.
 */
export function canMakeTables(): boolean {
  try {
    return [newMemory(1), newMemory(1)].length === 2
  } catch {
    return false
  }
}

/** Where no tables can be made it serves all the same to gather operations in. */
export function moduleMemory(pages: number): ModuleMemory {
  try {
    return newMemory(pages)
  } catch {
    return { buffer: new SharedArrayBuffer(pages * PAGE_BYTES) }
  }
}

/** Shared with nobody: but of what is not shared V8's collector counts all of it as used, and looks through everything for more. */
function newMemory(pages: number): ModuleMemory {
  const { Memory } = webAssembly()
  return new Memory({ initial: pages, maximum: pages, shared: true })
}

/** The functions over one memory. */
export function tableBlocks(memory: ModuleMemory): TableBlocks {
  const { Module, Instance } = webAssembly()
  compiled ??= new Module(Buffer.from(TABLE_BLOCKS_MODULE, 'base64'))
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the module is made of says so, and a test that it is that
  return new Instance(compiled, { env: { memory } }).exports as TableBlocks
}

/** Asked for when it is needed. */
function webAssembly(): WebAssemblyOfNode {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as the specification has it
  return (globalThis as unknown as { WebAssembly: WebAssemblyOfNode }).WebAssembly
}
