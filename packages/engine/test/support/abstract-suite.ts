// Runs abstract-level's own published suite on an engine, as a program of its own: it is written for tape, which reports
// when its process ends. Usage: abstract-suite.ts classic|memory
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { TimberLevel, TimberMemoryLevel } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import { immediateFileSystem } from '@timberline/wal/testing'

interface Tape {
  readonly Test: { readonly prototype: Record<string, Comparison> }
}
type Comparison = (this: Record<'pass', (message?: string) => void>, ...values: unknown[]) => void
type Suite = (options: { test: unknown; factory: (options?: object) => unknown }) => void

const require = createRequire(import.meta.url)
const test = require('tape') as Tape
const suite = require('abstract-level/test') as Suite
preferNativeEquality(test.Test.prototype)
// The suite opens 1,500 databases, each with a hundred calls of the file system, and the way to another thread costs more than the
// call. No option: the suite compares the options that hooks are given.
const watch = nodeFileSystem.watch.bind(nodeFileSystem)
Object.assign(nodeFileSystem, { ...immediateFileSystem, watch })
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

/**
 * Tape compares by asking each value whether it is a set, a weak map, a date and so on, which is half of the suite's time. What is
 * the same to the runtime in every respect is the same to tape; tape itself judges all else.
 */
function preferNativeEquality(prototype: Record<string, Comparison>): void {
  for (const name of ['same', 'deepEqual']) {
    const judge = prototype[name]
    if (judge === undefined) throw new Error(`tape has no ${name}`)
    prototype[name] = function (actual, expected, message, extra) {
      if (isDeepStrictEqual(actual, expected)) this.pass(typeof message === 'string' ? message : undefined)
      else judge.call(this, actual, expected, message, extra)
    }
  }
}
