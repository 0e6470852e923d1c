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

let compiled: object | undefined

/** Shared with nobody: but of what is not shared V8's collector counts all of it as used, and looks through everything for more. */
export function moduleMemory(pages: number): ModuleMemory {
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

/** Asked for when it is needed: a process may run without it, and then makes no tables. */
function webAssembly(): WebAssemblyOfNode {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as the specification has it
  return (globalThis as unknown as { WebAssembly: WebAssemblyOfNode }).WebAssembly
}
