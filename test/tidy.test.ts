/**
 * The style that a program can check and the linter does not, or not in one place: see STYLE.md. Each rule is a function from
 * the repository's texts to complaints; a rule holds when there is none.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { firstExample, packageNames, root, textFiles, type TextFile } from './repository.ts'

const CODE_LINES_MAX = 300
const FUNCTION_LINES_MAX = 70

const packageCode = textFiles('packages', '.ts')
const sources = packageCode.filter(({ path }) => path.includes('/src/'))
const code = [...packageCode, ...textFiles('test', '.ts'), ...textFiles('tools', '.ts')]
const prose = textFiles('.', '.md')

describe('names and sizes', () => {
  test('no file has a name that would fit anything', () => {
    const refused = /^(utils?|helpers?|common|misc|types?)(\.|-|$)/
    const offends = ({ path }: TextFile): boolean => path.split('/').some((part) => refused.test(part))
    expect(code.filter(offends).map(({ path }) => path)).toEqual([])
  })

  test('file names are kebab-case', () => {
    const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.bench)?\.ts$/
    expect(code.map(({ path }) => path).filter((path) => !kebab.test(basename(path)))).toEqual([])
  })

  test(`no source file has more than ${String(CODE_LINES_MAX)} lines of code`, () => {
    const long = sources.map((file) => ({ path: file.path, lines: codeLines(file.lines).length }))
    expect(long.filter(({ lines }) => lines > CODE_LINES_MAX)).toEqual([])
  })

  test(`no function of a package has more than ${String(FUNCTION_LINES_MAX)} lines of code`, () => {
    expect(sources.flatMap(longFunctions)).toEqual([])
  })

  test('a long function is noticed', () => {
    const body = Array.from({ length: 80 }, (_, index) => `  count += ${String(index)}`)
    const lines = ['export function long(): void {', ...body, '}']
    expect(longFunctions({ path: 'x.ts', text: lines.join('\n'), lines })).toHaveLength(1)
  })
})

describe('sources', () => {
  test('only the command writes to the console', () => {
    const quiet = sources.filter(({ path }) => !path.startsWith('packages/cli/'))
    expect(offences(quiet, /\bconsole\.\w+\(/)).toEqual([])
  })

  test('a thing to do names its issue', () => {
    expect(offences(code, /\b(TODO|FIXME|XXX)\b(?!\(#\d+\))/).filter((at) => !isThisFile(at))).toEqual([])
  })

  test('nothing is exported by default but configurations', () => {
    expect(offences(code, /^export default\b/)).toEqual([])
  })

  test('a package has one index, and its re-exports are named', () => {
    const index = sources.filter(({ path }) => basename(path) === 'index.ts')
    const allowed = /^packages\/[a-z]+\/src\/(testing\/)?index\.ts$/
    expect(index.map(({ path }) => path).filter((path) => !allowed.test(path))).toEqual([])
    expect(offences(index, /^export \*/)).toEqual([])
  })

  test('every source file explains itself somewhere', () => {
    const silent = sources.filter(
      ({ path, text }) => basename(path) !== 'index.ts' && !/\/\*\*|^\s*\/\/ /m.test(text),
    )
    expect(silent.map(({ path }) => path)).toEqual([])
  })

  test('every exported function and class says what one gets from it', () => {
    expect(sources.flatMap(undocumented)).toEqual([])
  })

  test('no test is switched off or left alone', () => {
    const tests = code.filter(({ path }) => path.endsWith('.test.ts'))
    expect(
      offences(tests, /\b(test|it|describe)\.(only|skip|todo)\(/).filter((at) => !isThisFile(at)),
    ).toEqual([])
  })
})

describe('prose', () => {
  test('every package has a README with an example, promises, and what it does not promise', () => {
    for (const name of packageNames()) {
      const path = join(root, 'packages', name, 'README.md')
      expect(existsSync(path), path).toBe(true)
      const text = readFileSync(path, 'utf8')
      expect(firstExample(text), `${path} has an example`).toBeDefined()
      expect(text, `${path} says what is promised`).toMatch(/promise/i)
      expect(text, `${path} says what is not`).toMatch(/not/i)
    }
  })

  test('a document has one title', () => {
    const titles = prose.map(({ path, text }) => ({ path, titles: headings(text, 1).length }))
    expect(titles.filter((document) => document.titles !== 1)).toEqual([])
  })

  test('links between files lead somewhere', () => {
    expect(prose.flatMap(deadLinks)).toEqual([])
  })

  test('no text speaks of paths of somebody’s own machine', () => {
    const texts = [...code, ...prose, ...textFiles('.ci', ''), ...textFiles('tools', '.sh')]
    expect(
      offences(texts, /(?<![\w.])\/(work|root|Users|home\/\w+)\/|\bshared\/\w+\.md/).filter(
        (at) => !isThisFile(at),
      ),
    ).toEqual([])
  })
})

function offences(files: readonly TextFile[], pattern: RegExp): readonly string[] {
  return files.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) =>
      pattern.test(line) ? [`${path}:${String(index + 1)}: ${line.trim()}`] : [],
    ),
  )
}

function isThisFile(offence: string): boolean {
  return offence.startsWith('test/tidy.test.ts')
}

/** Lines that are neither blank nor wholly comment. */
function codeLines(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !/^\s*($|\/\/|\/\*|\*)/.test(line))
}

/** Relies on the formatter: a function ends at the first closing brace as far left as the line that began it. */
function longFunctions({ path, lines }: TextFile): readonly string[] {
  const begins =
    /^(\s*)(?:export )?(?:async )?(?:function\b|(?:static |async |override |get |set |\*|#|_)*\w+(?:<.*>)?\(.*\).*\{$|const \w+ = .*=> \{$)/
  const notFunctions = /^\s*(if|for|while|switch|catch|return|else|await|try)\b/
  return lines.flatMap((line, index) => {
    const indent = begins.exec(line)?.[1]
    if (indent === undefined || notFunctions.test(line)) return []
    const end = lines.findIndex(
      (later, at) =>
        at > index &&
        later.startsWith(`${indent}}`) &&
        !later.startsWith(`${indent}})`) &&
        /^\s*\}/.test(later) &&
        !later.startsWith(`${indent}}: `) &&
        !later.startsWith(`${indent}} =`) &&
        !later.endsWith('{'),
    )
    const length = codeLines(lines.slice(index, end + 1)).length
    return length > FUNCTION_LINES_MAX ? [`${path}:${String(index + 1)}: ${String(length)} lines`] : []
  })
}

function undocumented({ path, lines }: TextFile): readonly string[] {
  let last = ''
  return lines.flatMap((line, index) => {
    const name = /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|class) (\w+)/.exec(line)?.[1]
    if (name === undefined) return []
    const overload = name === last
    last = name
    // A switched-off lint rule may stand between the documentation and its subject.
    const above =
      lines.slice(0, index).findLast((candidate) => !candidate.startsWith('// oxlint-disable')) ?? ''
    const before = above.trim()
    return overload || before.endsWith('*/') ? [] : [`${path}:${String(index + 1)}: ${name}`]
  })
}

function headings(markdown: string, level: number): readonly string[] {
  const outside = markdown.replaceAll(/^```[\s\S]*?^```/gm, '')
  return [...outside.matchAll(/^(#+) (.*)$/gm)].flatMap(([, marks = '', title = '']) =>
    level === 0 || marks.length === level ? [title] : [],
  )
}

function deadLinks({ path, text }: TextFile): readonly string[] {
  const outside = text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '')
  return [...outside.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
    if (/^[a-z]+:/.test(target)) return []
    const [file = '', anchor] = target.split('#')
    const absolute = file === '' ? join(root, path) : join(root, dirname(path), file)
    if (!existsSync(absolute)) return [`${path}: ${target}`]
    if (anchor === undefined || !absolute.endsWith('.md')) return []
    const anchors = headings(readFileSync(absolute, 'utf8'), 0).map(slug)
    return anchors.includes(anchor) ? [] : [`${path}: ${target}`]
  })
}

/** The anchor that hosting sites make of a heading. */
function slug(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')
}
