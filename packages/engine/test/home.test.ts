import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { admitHome } from '../src/home/home-admission.ts'
import {
  decodeHomeIdentity,
  newHomeIdentity,
  readHomeIdentity,
  writeHomeIdentity,
} from '../src/home/home-identity.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0

function newHome(): string {
  homes += 1
  return join(folder, `home${homes}`)
}

describe('the identity of a home', () => {
  test('comes back as it was written', async () => {
    const home = newHome()
    const identity = {
      ...newHomeIdentity(),
      timeline: 3,
      archiving: false,
      parent: { timeline: 2, forkLsn: 77 },
    }
    await writeHomeIdentity(home, identity)
    expect(await readHomeIdentity(home)).toEqual(identity)
  })

  test('is missing in a mistyped home, which is an error', async () => {
    const home = newHome()
    await expect(readHomeIdentity(home)).rejects.toMatchObject({
      code: 'ENGINE_HOME_MISSING',
      kind: 'invalid',
    })
    mkdirSync(home)
    await expect(readHomeIdentity(home)).rejects.toMatchObject({ code: 'ENGINE_HOME_MISSING' })
  })

  test('is refused by name when it cannot be decoded', async () => {
    const home = newHome()
    await writeHomeIdentity(home, newHomeIdentity())
    const path = homeLayout(home).identityPath
    const bytes = readFileSync(path)
    for (let cut = 0; cut < bytes.length - 2; cut += 1) {
      expect(() => decodeHomeIdentity(bytes.subarray(0, cut), path)).toThrow(
        expect.objectContaining({ code: 'ENGINE_HOME_DAMAGED' }),
      )
    }
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(() => decodeHomeIdentity(Buffer.from(json), path)).toThrow(
          expect.objectContaining({ code: 'ENGINE_HOME_DAMAGED' }),
        )
      }),
    )
  })
})

describe('whether a folder may be opened', () => {
  test('a new or empty one may become a home, and a home may be opened', async () => {
    const home = newHome()
    expect(await admitHome(home)).toBeUndefined()
    mkdirSync(home)
    expect(await admitHome(home)).toBeUndefined()
    const identity = newHomeIdentity()
    await writeHomeIdentity(home, identity)
    expect(await admitHome(home)).toEqual(identity)
  })

  test('a backup set, an unfinished recovery or adoption, a plain LevelDB and a home without identity may not', async () => {
    for (const [name, code] of [
      ['backup.json', 'ENGINE_BACKUP_NOT_RECOVERED'],
      ['recovery.json', 'ENGINE_RECOVERY_UNFINISHED'],
      ['adopt.json', 'ENGINE_ADOPT_UNFINISHED'],
      ['CURRENT', 'ENGINE_HOME_NOT_ADOPTED'],
      ['log/log.0000000001', 'ENGINE_HOME_DAMAGED'],
      ['data/CURRENT', 'ENGINE_HOME_DAMAGED'],
    ] as const) {
      const home = newHome()
      mkdirSync(join(home, name, '..'), { recursive: true })
      writeFileSync(join(home, name), 'x')
      await expect(admitHome(home)).rejects.toMatchObject({ code })
    }
  })
})
