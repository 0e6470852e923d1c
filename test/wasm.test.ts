/** A module that is kept as text is what its source says: nobody can see from the text what it does. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { modules, textOf } from '../tools/wasm/modules.ts'

test.each(modules)('$source is compiled as it is: pnpm wasm', async (module) => {
  expect(readFileSync(module.path, 'utf8')).toBe(await textOf(module))
})
