/** An encrypted archive by command lines: written without a key, read with one, refused with one clear error without. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TimberLevel } from '@timberline/engine'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { makePassphrasesCheap } from '../../archive/test/support/cheap-passphrases.ts'
import { begin, outcome, timberline } from './terminal.ts'

/** Made by age-keygen, as is the other one; its recipient stands in it. */
const IDENTITY = fileURLToPath(
  new URL('../../archive/test/golden/v1-encrypted/identity.txt', import.meta.url),
)
const OTHER_RECIPIENT = 'age15q8xmnsuz8wx22skgwl8hflk8rn6z5zrezpcv2e8kfzyxpynkgfqmxqphe'
const OTHER_IDENTITY = 'AGE-SECRET-KEY-1GT5WSWHM46LDAR8JZLSHQVL0D6S84QX96XSN07ZWL22R4NUW3ZUSHQ3WZ0'
const MISSING = { code: 6, err: expect.stringContaining('ARCHIVE_KEY_MISSING') as unknown }
const WRONG = { code: 6, err: expect.stringContaining('ARCHIVE_KEY_WRONG') as unknown }

let folder = ''
let recipient = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-cli-encryption-'))
  recipient = /age1\w+/.exec(await readFile(IDENTITY, 'utf8'))?.[0] ?? ''
  await writeFile(at('other.txt'), `${OTHER_IDENTITY}\n`)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

async function loaded(home: string, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, index) =>
    JSON.stringify({ k: `key-${index}`, v: `${index}` }),
  )
  const head = JSON.stringify({ timberline: 'dump', format: 1 })
  await writeFile(at('entries.jsonl'), [head, ...lines, ''].join('\n'))
  await timberline(['load', '-h', home, '--create', '--merge', '-f', at('entries.jsonl')])
}

const contentOf = async (home: string): Promise<string> =>
  (await timberline(['dump', '-h', home])).out.replace(/^.*\n/, '')

describe('an encrypted archive of a database', () => {
  let made: unknown
  const archive = (): readonly string[] => ['-a', at('archive')]
  const recovered = (name: string, ...more: readonly string[]): readonly string[] => [
    'recover',
    '--from',
    at('archive'),
    '-h',
    at(name),
    ...more,
  ]

  beforeAll(async () => {
    await loaded(at('home'), 50)
    await outcome(['archive', 'init', '-h', at('home'), ...archive()])
    made = await outcome(['archive', 'encrypt', ...archive(), '--recipient', recipient])
    await outcome(['archive', 'run', '-h', at('home'), ...archive(), '--once'])
    await outcome(['hotbackup', '-h', at('home'), ...archive()])
    await loaded(at('home'), 60)
    await outcome(['archive', 'run', '-h', at('home'), ...archive(), '--once'])
  })

  test('is made before anything is in it', () => {
    expect(made).toMatchObject({ recipients: [recipient], before: [], clearObjects: 0 })
  })

  test('is recovered with an identity, by option or by environment', async () => {
    await outcome(recovered('copy', '--identity', IDENTITY))
    expect(await contentOf(at('copy'))).toBe(await contentOf(at('home')))
    vi.stubEnv('TIMBERLINE_IDENTITY', IDENTITY)
    await outcome(recovered('copy-2'))
    expect(await contentOf(at('copy-2'))).toBe(await contentOf(at('home')))
  })

  test('is refused without a key and with a wrong one, by every command that reads', async () => {
    const reading = [recovered('refused'), ['archive', 'verify', ...archive()], ['verify', ...archive()]]
    for (const words of reading) {
      expect(await timberline(words), words.join(' ')).toMatchObject(MISSING)
      expect(await timberline([...words, '--identity', at('other.txt')]), words.join(' ')).toMatchObject(
        WRONG,
      )
    }
  })

  test('is verified and drilled with a key', async () => {
    expect((await timberline(['archive', 'verify', ...archive(), '--identity', IDENTITY])).code).toBe(0)
    expect((await timberline(['drill', ...archive(), '--identity', IDENTITY])).code).toBe(0)
  })

  test('fails its drill without a key, by the name of the error', async () => {
    const { code, out } = await timberline(['drill', ...archive()])
    expect({ code, out }).toEqual({ code: 1, out: expect.stringContaining('ARCHIVE_KEY_MISSING') as unknown })
  })

  test('is compared with the live home with a key', async () => {
    const against = ['verify', ...archive(), '--against', at('home')]
    const db = new TimberLevel(at('home'))
    await db.open()
    const shipping = begin(['archive', 'run', '-h', at('home'), ...archive()])
    expect(await timberline(against)).toMatchObject(MISSING)
    expect(await timberline([...against, '--identity', IDENTITY])).toMatchObject({ code: 0 })
    shipping.kill('SIGTERM')
    await shipping.ended
    await db.close()
  }, 60_000)

  test('says what stands where without any key', async () => {
    vi.stubEnv('TIMBERLINE_IDENTITY', '')
    const words = ['archive', 'status', '-h', at('home'), ...archive()]
    expect((await timberline(words)).code).toBe(0)
    expect((await timberline(['timeline', ...archive()])).code).toBe(0)
    expect(await timberline(['archive', 'window', ...archive()])).toMatchObject({ code: 0, err: '' })
    const expire = ['archive', 'expire', ...archive(), '--instants', '7d', '--bases', '1w/8w']
    expect(await timberline(expire)).toMatchObject({ code: 0, err: '' })
  })

  test('gets other recipients by a rotation, told to keep the older identities', async () => {
    const { out } = await timberline(['archive', 'encrypt', ...archive(), '--recipient', OTHER_RECIPIENT])
    expect(out).toContain('keep these too')
    expect(await outcome(['archive', 'encrypt', ...archive()])).toMatchObject({
      recipients: [OTHER_RECIPIENT],
    })
    await loaded(at('home'), 70)
    await outcome(['archive', 'run', '-h', at('home'), ...archive(), '--once'])
    expect(await timberline(recovered('copy-3', '--identity', at('other.txt')))).toMatchObject(WRONG)
    const both = `${await readFile(IDENTITY, 'utf8')}${OTHER_IDENTITY}\n`
    await writeFile(at('both.txt'), both)
    await outcome(recovered('copy-3', '--identity', at('both.txt')))
    expect(await contentOf(at('copy-3'))).toBe(await contentOf(at('home')))
  })
})

describe('an encrypted archive of files', () => {
  const files = (): readonly string[] => ['-a', at('files')]

  test('is made, pushed into without a key, and read with one', async () => {
    await writeFile(at('segment'), 'wal of another system')
    await outcome(['archive', 'encrypt', ...files(), '--create', '--recipient', recipient])
    await outcome(['archive', 'push', ...files(), at('segment'), 'wal-1'])
    expect((await readFile(at('files/file/wal-1'))).toString('latin1', 0, 3)).toBe('age')
    expect(await timberline(['archive', 'get', ...files(), 'wal-1', at('back')])).toMatchObject(MISSING)
    await outcome(['archive', 'get', ...files(), 'wal-1', at('back'), '--identity', IDENTITY])
    expect(await readFile(at('back'), 'utf8')).toBe('wal of another system')
  })

  test('takes the same file again from whoever can read it', async () => {
    const again = ['archive', 'push', ...files(), at('segment'), 'wal-1']
    expect(await timberline(again)).toMatchObject(MISSING)
    vi.stubEnv('TIMBERLINE_IDENTITY', IDENTITY)
    expect(await outcome(again)).toMatchObject({ outcome: 'exists-same' })
  })

  test('tells how much stays in the clear', async () => {
    await writeFile(at('segment'), 'wal of another system')
    await outcome(['archive', 'push', '-a', at('late'), at('segment'), 'wal-1'])
    const { out } = await timberline(['archive', 'encrypt', '-a', at('late'), '--recipient', recipient])
    expect(out).toContain('1 objects that were there stay in the clear')
  })

  test('opens by a passphrase from the environment', async () => {
    makePassphrasesCheap()
    const locked = ['-a', at('locked')]
    const byPassphrase = ['archive', 'encrypt', ...locked, '--create', '--passphrase']
    expect(await timberline(byPassphrase)).toMatchObject({ code: 2 })
    vi.stubEnv('TIMBERLINE_PASSPHRASE', 'correct horse battery staple')
    await outcome(byPassphrase)
    vi.unstubAllEnvs()
    await outcome(['archive', 'push', ...locked, at('segment'), 'wal-1'])
    expect(await timberline(['archive', 'get', ...locked, 'wal-1', at('opened')])).toMatchObject(MISSING)
    vi.stubEnv('TIMBERLINE_PASSPHRASE', 'a guess')
    expect(await timberline(['archive', 'get', ...locked, 'wal-1', at('opened')])).toMatchObject(WRONG)
    vi.stubEnv('TIMBERLINE_PASSPHRASE', 'correct horse battery staple')
    await outcome(['archive', 'get', ...locked, 'wal-1', at('opened')])
    expect(await readFile(at('opened'), 'utf8')).toBe('wal of another system')
  }, 60_000)
})

test('a file of identities that is none or not there is refused by name', async () => {
  const get = ['archive', 'get', '-a', at('files'), 'wal-1', at('x'), '--identity']
  expect(await timberline([...get, at('nowhere')])).toMatchObject({
    code: 6,
    err: expect.stringContaining('CLI_FILE_MISSING') as unknown,
  })
  expect(await timberline([...get, at('segment')])).toMatchObject({
    code: 6,
    err: expect.stringContaining('ARCHIVE_KEY_INVALID') as unknown,
  })
})
