/**
 * Runs the soak tests for a given time: `pnpm soak [--minutes N] [--seed S] [--json FILE] [NAME...]`.
 *
 * The soak tests are the files `test/soak/*.test.ts`; a name chooses those whose file name holds it. The time is divided equally
 * among them, and each learns its share as SOAK_MINUTES and the seed as SEED; whoever has a share too short for one whole round
 * does that round all the same. The exit code is vitest's.
 */
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startVitest } from 'vitest/node'
import { SoakSummary } from './summary.ts'

const SEED_BELOW = 2 ** 31
const root = fileURLToPath(new URL('../..', import.meta.url))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * SEED_BELOW)) },
    json: { type: 'string' },
  },
})
const minutes = checkedNumber('minutes', values.minutes, (value) => value > 0)
const seed = checkedNumber('seed', values.seed, Number.isSafeInteger)
const all = readdirSync(`${root}/test/soak`).filter((name) => name.endsWith('.test.ts'))
const chosen = all.filter(
  (name) => positionals.length === 0 || positionals.some((part) => name.includes(part)),
)
if (chosen.length === 0) refuse(`no soak test is called so; there are ${all.join(', ')}`)

// Most soak tests keep a second process busy.
const workers = Math.max(1, Math.floor(availableParallelism() / 2))
const share = Math.min(minutes, (minutes * workers) / chosen.length)
process.env['SOAK'] = '1'
process.env['SEED'] = String(seed)
process.env['SOAK_MINUTES'] = String(share)
console.log(
  `soak: seed ${String(seed)}, ${String(minutes)} min, ${share.toFixed(2)} min for each of ${chosen.join(', ')}`,
)

const summary = new SoakSummary()
const vitest = await startVitest(
  'test',
  chosen.map((name) => `test/soak/${name}`),
  {
    root,
    project: ['soak'],
    watch: false,
    maxWorkers: workers,
    reporters: ['default', summary, ...(values.json === undefined ? [] : ['json'])],
    ...(values.json === undefined ? {} : { outputFile: { json: values.json } }),
  },
)
await vitest.close()
console.log(['', `soak summary, seed ${String(seed)}:`, ...summary.lines()].join('\n'))

function checkedNumber(name: string, text: string, isValid: (value: number) => boolean): number {
  const value = Number(text)
  if (text.trim() === '' || !isValid(value)) refuse(`--${name} ${text} is not a number that serves`)
  return value
}

function refuse(reason: string): never {
  console.error(`soak: ${reason}`)
  process.exit(2)
}
