// Runs abstract-level's own published suite on an engine, as a program of its own: it is written for tape, which reports
// when its process ends. Usage: abstract-suite.ts classic|memory
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel, TimberMemoryLevel } from '@timberline/engine'

type Suite = (options: { test: unknown; factory: (options?: object) => unknown }) => void

const require = createRequire(import.meta.url)
const test: unknown = require('tape')
const suite = require('abstract-level/test') as Suite
const scratch = mkdtempSync(join(tmpdir(), 'timberline-suite-'))
let count = 0

const factories: Record<string, (options?: object) => unknown> = {
  classic: (options) => new TimberLevel(join(scratch, String((count += 1))), options),
  memory: (options) => new TimberMemoryLevel(options),
}

const factory = factories[process.argv[2] ?? '']
if (factory === undefined) throw new Error('say classic or memory')
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
suite({ test, factory })
