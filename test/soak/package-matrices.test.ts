/**
 * The matrices of the packages' own tests whole, and their kills by the hundred: the same files as in the default tests, which strike
 * a sample (`tools/matrix-sample.ts`). However short its share, it goes through all of them once.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, textFiles } from '../repository.ts'

const VITEST = join(root, 'node_modules/vitest/vitest.mjs')
const SAMPLED = /tools\/matrix-sample\.ts|env\['SOAK'\]/

test('every cell of the matrices of the packages keeps its promise', async () => {
  const files = textFiles('packages', '.test.ts').filter(({ text }) => SAMPLED.test(text))
  expect(files.length).toBeGreaterThan(10)
  const child = spawn(
    process.execPath,
    [VITEST, 'run', '--project', 'default', ...files.map(({ path }) => path)],
    {
      cwd: root,
      env: { ...process.env, SOAK: '1', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let told = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (told += text))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) console.error(told)
  expect(code).toBe(0)
  console.log(
    `${String(files.length)} files: ${
      told
        .split('\n')
        .findLast((line) => line.includes('Tests'))
        ?.trim() ?? ''
    }`,
  )
})
