import { TimberlineError } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { commandTable, lettersOf } from '../src/command-table.ts'
import { exitCodeOf, exitTable } from '../src/exit-code.ts'
import { describeFailure, failureDocument } from '../src/failure.ts'
import { asTimberlineError, cliError } from '../src/errors.ts'
import { parseCommandLine } from '../src/parser.ts'
import { checkArguments, runCommandLine } from '../src/run.ts'

function parse(line: string): Extract<ReturnType<typeof parseCommandLine>, { type: 'run' }> {
  const request = parseCommandLine(line.split(' '), '1.2.3')
  if (request.type !== 'run') throw new Error('asked for help')
  return request
}

describe('a command line', () => {
  test('keeps Berkeley DB’s letters, joined or apart', () => {
    const { row, args } = parse('hotbackup -cv -D -h home -b target -d data -l log')
    expect(row.name).toBe('hotbackup')
    expect(args.text('home')).toBe('home')
    expect(args.text('target')).toBe('target')
    expect(args.list('data-dir')).toEqual(['data'])
    expect(['checkpoint', 'verbose', 'use-config', 'update'].map((name) => args.flag(name))).toEqual([
      true,
      true,
      true,
      false,
    ])
  })

  test('has -h for the home and --help for help', () => {
    expect(parseCommandLine(['hotbackup', '--help'], '1.2.3')).toMatchObject({ type: 'print' })
    expect(checkArguments(['hotbackup', '-h'])).toMatch(/-h, --home/)
  })

  test('reads numbers and times', () => {
    const { args } = parse('recover -h home --from a --until-time 2026-11-24T18:30:00.000001Z --before')
    expect(args.number('until-time')).toBe(Date.UTC(2026, 10, 24, 18, 30) * 1000 + 1)
    expect(parse('checkpoint -h home -k 512').args.number('kbytes')).toBe(512)
    expect(parse('hotbackup -h home -b t --max-mb-per-s 2.5').args.number('max-mb-per-s')).toBe(2.5)
  })

  test('knows switches that begin with no', () => {
    expect(parse('hotbackup -h home -b t --no-digest').args.flag('no-digest')).toBe(true)
    expect(parse('hotbackup -h home -b t').args.flag('no-digest')).toBe(false)
  })

  test('finds commands of a group', () => {
    expect(parse('archive run -h home -a archive').row.name).toBe('archive run')
    expect(parse('archive get -a archive name file').args.operands).toEqual(['name', 'file'])
  })

  test.each([
    ['', 'no command'],
    ['hotback -h home', 'unknown command'],
    ['archive', 'no such command'],
    ['archive sing', 'unknown command'],
    ['hotbackup -b target', 'exactly one of --home, --plain'],
    ['checkpoint', 'required option'],
    ['hotbackup -h home', 'exactly one of'],
    ['hotbackup -h home -b t -a a', 'exactly one of'],
    ['hotbackup -h home -b t --prefix z', 'exactly one of'],
    ['hotbackup -h home --prefix z --dirs a', '--prefix needs'],
    ['hotbackup -h home --prefix z --volume-pages x --dirs a', 'not a number of pages'],
    ['hotbackup -h home -b t --dirs a', '--dirs needs --prefix'],
    ['recover -h home --from a --from-volumes z', 'only one of'],
    ['recover -h home --dirs a', '--dirs needs --from-volumes'],
    ['hotbackup -h home -b t --frobnicate', 'unknown option'],
    ['hotbackup -h home -b t surplus', 'too many arguments'],
    ['hotbackup -h home -a a -u', '-u needs -b'],
    ['recover -h home -t notatime', 'not a time'],
    ['recover -h home --from a --until-lsn 5', '--before or --through'],
    ['recover -h home --from a --until-lsn 5 --until-mark x --before', 'only one target'],
    ['recover -h home --from a --until-lsn 5 --before --through', 'only one of'],
    ['recover -h home --from a --before', 'needs a target'],
    ['recover -h home --until-lsn 5 --before', 'needs --from'],
    ['recover -h home --from a --until-lsn 0 --before', 'not an LSN'],
    ['recover -h home --from a --until-lsn 1e3 --before', 'not an LSN'],
    ['checkpoint -h home -1 -p 5', '-1 excludes'],
    ['archive list -h home -d -l', 'only one of'],
    ['printlog -h home --kind x', '--kind'],
    ['printlog -h home --key 0xabc', 'hexadecimal'],
    ['verify', 'exactly one of'],
    ['dump -h home --json', 'needs -f'],
  ])('"%s" is refused: %s', (line, why) => {
    expect(checkArguments(line === '' ? [] : line.split(' '))).toContain(why)
  })

  test('every example of the table is understood', () => {
    for (const { example } of commandTable) {
      expect(checkArguments(example.split(' ').slice(1)), example).toBeUndefined()
    }
  })

  test('letters are told for a command', () => {
    expect(lettersOf('archive list')).toEqual(['h', 'a', 'd', 'l', 's', 'v', 'g', 'V'])
    expect(lettersOf('nothing')).toEqual([])
  })
})

describe('output', () => {
  async function run(words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
    let out = ''
    let err = ''
    const code = await runCommandLine(words, {
      stdin: (async function* () {})(),
      stdout: { write: async (text) => void (out += text) },
      stderr: { write: (text) => void (err += text) },
      signal: new AbortController().signal,
    })
    return { code, out, err }
  }

  test('help goes to standard output and names every command and exit code', async () => {
    const { code, out, err } = await run(['--help'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    for (const { name } of commandTable) expect(out).toContain(name.split(' ')[0])
    for (const { code: exitCode, meaning } of exitTable)
      expect(out).toContain(`${String(exitCode)}  ${meaning}`)
  })

  test('the help of a command has its options, notes and an example', async () => {
    const { out } = await run(['recover', '--help'])
    expect(out).toContain('-t, --time <TIME>')
    expect(out).toContain('Example: timberline recover')
    expect((await run(['help', 'recover'])).out).toBe(out)
  })

  test('-V prints the version, of the command too', async () => {
    expect((await run(['-V'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect((await run(['hotbackup', '-V'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  test('a usage error has a code, a next step and exit code 2', async () => {
    const { code, out, err } = await run(['hotbackup', '-b', 'x'])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/^timberline: CLI_USAGE .*\ntimberline: next: .*--help\n$/)
  })

  test('with --json an error is one JSON document', async () => {
    const { out } = await run(['hotbackup', '--json'])
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'CLI_USAGE', kind: 'invalid' } })
  })

  test('a mistyped home is an error for every command that reads one', async () => {
    for (const { name, options } of commandTable) {
      const needsHome = options.some((option) => option.name === 'home' && option.isRequired === true)
      // A hot backup may take a foreign folder in its place. What is about a standby looks for its archive first.
      if ((!needsHome && name !== 'hotbackup') || ['standby', 'promote'].includes(name)) continue
      const more = options.some((option) => option.name === 'archive' && option.isRequired === true)
        ? ['-a', '/nowhere/archive']
        : []
      const targets: Readonly<Record<string, readonly string[]>> = {
        hotbackup: ['-b', '/nowhere/backup'],
        copy: ['-o', '/nowhere/copy'],
        mark: ['nightly'],
      }
      const target = targets[name] ?? []
      const { code, err } = await run([...name.split(' '), '-h', '/nowhere/home', ...more, ...target])
      expect(err, name).toMatch(/^timberline: (ENGINE_HOME|CLI_FILE)_MISSING .*\ntimberline: next: /)
      expect(code, name).toBe(6)
    }
  })
})

describe('a failure', () => {
  test('shows code, message, the cause and the next step', () => {
    const error = cliError('CLI_SYSTEM', 'writing failed', {
      cause: new Error('ENOSPC: no space left on device'),
    })
    expect(describeFailure(error)).toEqual([
      'timberline: CLI_SYSTEM writing failed',
      'timberline: because ENOSPC: no space left on device',
      'timberline: next: mend what the message names and try again',
    ])
    expect(failureDocument(error)).toMatchObject({
      error: { code: 'CLI_SYSTEM', causes: ['ENOSPC: no space left on device'] },
    })
    expect(describeFailure(error, true).join('\n')).toContain('caused by Error: ENOSPC')
  })

  test('that abstract-level wrapped is shown as what it is', () => {
    const locked = new TimberlineError('held', { code: 'ENGINE_HOME_LOCKED', kind: 'conflict' })
    const wrapped = new Error('Database failed to open', { cause: locked })
    expect(asTimberlineError(wrapped)).toBe(locked)
  })

  test('of the system and of ours have codes of their own', () => {
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
    expect(asTimberlineError(full).code).toBe('CLI_SYSTEM')
    expect(asTimberlineError(new TypeError('x')).code).toBe('CLI_UNEXPECTED')
    expect(asTimberlineError('x').code).toBe('CLI_UNEXPECTED')
  })

  test('after Ctrl-C is an interruption', () => {
    const signal = AbortSignal.abort()
    expect(asTimberlineError(signal.reason, signal).code).toBe('CLI_INTERRUPTED')
    expect(exitCodeOf(asTimberlineError(signal.reason, signal))).toBe(130)
  })
})
