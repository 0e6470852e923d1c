/** The repository as data, for the tests that hold it to its own rules. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

const GENERATED = new Set(['node_modules', 'dist', 'coverage', '.git', '.turbo', 'golden'])

export interface TextFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
}

/** Every file below `folder` with that ending, generated folders excepted. */
export function textFiles(folder: string, ending: string): readonly TextFile[] {
  return paths(join(root, folder))
    .filter((path) => path.endsWith(ending))
    .map((path) => {
      const text = readFileSync(path, 'utf8')
      return { path: relative(root, path).split(sep).join('/'), text, lines: text.split('\n') }
    })
}

export function packageNames(): readonly string[] {
  return readdirSync(join(root, 'packages')).sort()
}

export interface PackageManifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

export function packageManifest(folder: string): PackageManifest {
  return JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as PackageManifest
}

/** The first TypeScript or JavaScript example of a Markdown text. */
export function firstExample(markdown: string): string | undefined {
  return /^```(?:ts|js)\n([\s\S]*?)^```/m.exec(markdown)?.[1]
}

/** The lines of its shell blocks that call `timberline`, comments cut off. */
export function commandLines(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^```sh\n([\s\S]*?)^```/gm)]
    .flatMap((block) => (block[1] ?? '').replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.replace(/\s#.*$/, '').trim())
    .filter((line) => line.startsWith('timberline '))
}

function paths(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      if (GENERATED.has(entry.name)) return []
      const path = join(folder, entry.name)
      return entry.isDirectory() ? paths(path) : [path]
    })
    .sort()
}
