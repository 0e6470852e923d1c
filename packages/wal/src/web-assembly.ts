/**
 * Modules of WebAssembly, which do some work over bytes in a fraction of the time, and from the first byte on, where JavaScript is compiled while
 * it works. A process may be without: `--jitless`, or denied the addresses that V8 reserves for each memory, some 10 GB (`ulimit -v`).
 */

/** Memory that a module is given. */
export interface ModuleMemory {
  readonly buffer: SharedArrayBuffer
}

/** The functions that a module calls, by its file's name and theirs. */
export type ModuleImports = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** The part of Node's WebAssembly that is used here; its declarations leave all of it out. */
interface WebAssemblyOfNode {
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => ModuleMemory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: ModuleImports) => { exports: unknown }
}

/** What the machine counts such memory in. */
export const PAGE_BYTES = 65_536

/**
 * Shared with nobody: but of what is not shared V8's collector counts all of it as used, and looks through everything for more.
 *
 * @throws where the process may have none
 */
export function newModuleMemory(pages: number): ModuleMemory {
  return new (webAssembly().Memory)({ initial: pages, maximum: pages, shared: true })
}

/** A module from its text in base 64. */
export function compileModule(text: string): object {
  return new (webAssembly().Module)(Buffer.from(text, 'base64'))
}

/** The functions of a compiled module over one memory; which they are is for the caller to know. */
export function moduleFunctions(module: object, memory: ModuleMemory, imports: ModuleImports = {}): unknown {
  return new (webAssembly().Instance)(module, { env: { memory }, ...imports }).exports
}

/** Asked for when it is needed. */
function webAssembly(): WebAssemblyOfNode {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as the specification has it
  return (globalThis as unknown as { WebAssembly: WebAssemblyOfNode }).WebAssembly
}
