/** Encrypted objects beside Debian's age: each opens what the other one made, with keys that age-keygen made. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createArchive, directoryStore, openArchive, parseIdentityFile } from '@timberline/archive'
import { afterAll, beforeAll, expect, test } from 'vitest'

const CONTENT = Buffer.from('a line of somebody’s log\n'.repeat(40_000))
let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-age-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function newKey(name: string): string {
  execFileSync('age-keygen', ['-o', at(name)], { stdio: 'ignore' })
  return execFileSync('age-keygen', ['-y', at(name)], { encoding: 'utf8' }).trim()
}

/** A shell's answer, as of whoever has nothing but the files. */
const shell = (line: string): Buffer =>
  execFileSync('bash', ['-c', `set -o pipefail; ${line}`], { cwd: folder, maxBuffer: 64 * 1024 * 1024 })

test('age, tail and gunzip give the content of an object, with the key of any recipient', async () => {
  const recipients = [newKey('one.txt'), newKey('two.txt')]
  const archive = await createArchive(directoryStore(at('archive')), { environmentId: 'ab'.repeat(16) })
  await archive.setRecipients(recipients)
  await archive.putObject('file/log', CONTENT)
  for (const key of ['one.txt', 'two.txt']) {
    const content = shell(`age -d -i ${key} archive/file/log | tail -c +65 | gunzip`)
    expect(content.equals(CONTENT)).toBe(true)
  }
  newKey('stranger.txt')
  expect(() => shell('age -d -i stranger.txt archive/file/log 2>/dev/null')).toThrow('Command failed')
})

test('an object that age encrypted again, to other recipients, is the same object', async () => {
  const recipient = newKey('three.txt')
  shell(`age -d -i one.txt archive/file/log | age -r ${recipient} > again && mv again archive/file/log`)
  const identities = parseIdentityFile(await readFile(at('three.txt'), 'utf8'))
  const archive = await openArchive(directoryStore(at('archive')), { identities })
  expect((await archive.getObject('file/log')).equals(CONTENT)).toBe(true)
})

test('several keys in one file are as good as one', async () => {
  await writeFile(at('all.txt'), shell('cat one.txt two.txt three.txt'))
  const identities = parseIdentityFile(await readFile(at('all.txt'), 'utf8'))
  expect(identities).toHaveLength(3)
  const archive = await openArchive(directoryStore(at('archive')), { identities })
  expect((await archive.getObject('file/log')).equals(CONTENT)).toBe(true)
})
