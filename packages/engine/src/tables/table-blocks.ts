// The module that makes the data blocks of a table: compiled once, and given the memory of each window that becomes one.
import { compileModule, moduleFunctions, newModuleMemory, PAGE_BYTES } from '@timberline/wal'
import type { ModuleMemory } from '@timberline/wal'
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

let compiled: object | undefined

/** Whether this process can make tables, which takes the memory of the two windows that are filled in turns. */
export function canMakeTables(): boolean {
  try {
    return [newModuleMemory(1), newModuleMemory(1)].length === 2
  } catch {
    return false
  }
}

/** Where no tables can be made it serves all the same to gather operations in. */
export function windowPages(pages: number): ModuleMemory {
  try {
    return newModuleMemory(pages)
  } catch {
    return { buffer: new SharedArrayBuffer(pages * PAGE_BYTES) }
  }
}

/** The functions over one memory. */
export function tableBlocks(memory: ModuleMemory): TableBlocks {
  compiled ??= compileModule(TABLE_BLOCKS_MODULE)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the module is made of says so, and a test that it is that
  return moduleFunctions(compiled, memory) as TableBlocks
}
