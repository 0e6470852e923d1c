/** The modules of WebAssembly in this repository, and how each is compiled. */
import { fileURLToPath } from 'node:url'
import { main } from 'assemblyscript/asc'

export interface WasmModule {
  /** In AssemblyScript. */
  readonly source: string
  /** Where its text is kept. */
  readonly path: string
  readonly constant: string
}

const root = fileURLToPath(new URL('../..', import.meta.url))

export const modules: readonly WasmModule[] = [
  {
    source: 'packages/wal/wasm/plain-groups.ts',
    path: `${root}packages/wal/src/segments/plain-groups-module.ts`,
    constant: 'PLAIN_GROUPS_MODULE',
  },
  {
    source: 'packages/engine/wasm/table-blocks.ts',
    path: `${root}packages/engine/src/tables/table-blocks-module.ts`,
    constant: 'TABLE_BLOCKS_MODULE',
  },
]

/** No runtime and no checks but the machine's: the memory is the caller's, and may be as large as any. */
const OPTIONS = [
  '-O3',
  '--runtime',
  'stub',
  '--noAssert',
  '--enable',
  'threads',
  '--importMemory',
  '--sharedMemory',
  '--initialMemory',
  '1',
  '--maximumMemory',
  '65536',
]
const LINE = 120

/** A file with the compiled module. */
export async function textOf({ source, constant }: WasmModule): Promise<string> {
  let binary: Uint8Array | undefined
  const { error } = await main([source, '--baseDir', root, '--outFile', 'module.wasm', ...OPTIONS], {
    writeFile: (_name, contents) => {
      if (typeof contents !== 'string') binary = contents
    },
  })
  if (error !== null || binary === undefined) throw new Error(`${source} was not compiled`, { cause: error })
  const text = Buffer.from(binary).toString('base64')
  const lines = (text.match(new RegExp(`.{1,${String(LINE)}}`, 'g')) ?? []).map((line) => `  '${line}'`)
  return [
    `// Made of ${source} by tools/wasm/build.ts, so that nobody needs its compiler: \`pnpm wasm\`.`,
    `export const ${constant}: string =`,
    lines.join(' +\n'),
    '',
  ].join('\n')
}
