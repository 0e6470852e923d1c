/**
 * Makes the modules that are written in AssemblyScript, and keeps them as text beside the sources that use them: nobody who installs a
 * package needs the compiler. `test/wasm.test.ts` holds that they are what their sources say.
 */
import { writeFileSync } from 'node:fs'
import { modules, textOf } from './modules.ts'

for (const module of modules) writeFileSync(module.path, await textOf(module))
