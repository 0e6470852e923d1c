/**
 * Programs made for Level, unchanged, on the engine: the same answers as on classic-level, also after the home was closed and
 * opened again; and the published test suite of a module that builds on Level.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { register } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { ClassicLevel } from 'classic-level'
import { LevelDatastore } from 'datastore-level'
import { afterAll, afterEach, beforeAll, beforeEach, chai, describe, expect, it, test } from 'vitest'
import { levelPrograms, type LevelClass } from './support/level-programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'timberline-clients-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let count = 0
const newLocation = (): string => join(folder, String((count += 1)))
const Timber = TimberLevel as unknown as LevelClass

describe.each(levelPrograms)('$name', (program) => {
  test('gives the same answers on TimberLevel as on ClassicLevel', async () => {
    const [classic, timber] = [newLocation(), newLocation()]
    await program.fill(ClassicLevel, classic)
    await program.fill(Timber, timber)
    const expected = await program.answers(ClassicLevel, classic)
    expect(JSON.stringify(expected).length).toBeGreaterThan(500)
    expect(await program.answers(Timber, timber)).toEqual(expected)
    expect(await program.answers(Timber, timber)).toEqual(expected)
  })
})

describe('interface-datastore-tests, on datastore-level over TimberLevel', async () => {
  const interfaceDatastoreTests = await loadSuite()
  interfaceDatastoreTests({
    async setup() {
      const level = new TimberLevel<string, Uint8Array>(newLocation(), { valueEncoding: 'view' })
      const store = new LevelDatastore(level as unknown as ConstructorParameters<typeof LevelDatastore>[0])
      await store.open()
      return store
    },
    teardown: (store) => store.close(),
  })
})

interface SuiteOptions {
  setup(): Promise<LevelDatastore>
  teardown(store: LevelDatastore): Promise<void>
}

/**
 * The suite is written for mocha's global functions and for the assertions of `aegir`, a build tool of its authors that does not come with
 * it. It gets vitest's functions, and chai with the few words that `aegir` adds to it.
 */
async function loadSuite(): Promise<(options: SuiteOptions) => void> {
  const assertions = 'data:text/javascript,export const expect = globalThis.suiteExpect'
  const resolve = `export const resolve = (name, context, next) =>
    name === 'aegir/chai' ? { url: ${JSON.stringify(assertions)}, shortCircuit: true } : next(name, context)`
  register(`data:text/javascript,${encodeURIComponent(resolve)}`)
  chai.use(({ Assertion }) => {
    // There, `true` and the like are calls.
    for (const word of ['true', 'false', 'exist']) {
      Assertion.overwriteProperty(
        word,
        (check: () => void) =>
          function callable(this: object) {
            check.call(this)
            return () => this
          },
      )
    }
    Assertion.addProperty('eventually', function eventually() {
      return this
    })
    Assertion.addProperty('rejected', function rejected() {
      const promise = this._obj as Promise<unknown>
      const error = promise.then(
        () => new Assertion(undefined).to.be.instanceOf(Error),
        (reason: unknown) => reason,
      )
      // As much of a language chain as the suite speaks: .with.property(name).that.include(text)
      const property = (name: string): object => ({
        that: {
          include: async (text: string) => {
            new Assertion(Reflect.get((await error) as object, name)).to.include(text)
          },
        },
      })
      return Object.assign(error, { with: { property } })
    })
  })
  // Mocha's tests set their time limit on `this`.
  const mochaTest = (name: string, body: (this: object) => unknown): void => {
    // oxlint-disable-next-line vitest/valid-title, vitest/expect-expect -- both come from the suite
    it(name, async () => {
      await body.call({ timeout: () => undefined })
    })
  }
  const mocha = { describe, it: mochaTest, beforeEach, afterEach, before: beforeAll, after: afterAll }
  Object.assign(globalThis, { ...mocha, suiteExpect: chai.expect })
  const suite = await import('interface-datastore-tests')
  return suite.interfaceDatastoreTests as unknown as (options: SuiteOptions) => void
}
