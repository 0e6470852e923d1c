/**
 * Who may know whom, held against the picture in ARCHITECTURE.md. pnpm refuses an import that a package does not declare; this
 * test holds the declarations themselves, so that a new arrow or a new library is a decision, not an accident.
 */
import { builtinModules } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { packageManifest, packageNames, textFiles } from './repository.ts'

interface Layer {
  readonly packages: readonly string[]
  readonly libraries: readonly string[]
}

const layers: Readonly<Record<string, Layer>> = {
  wal: { packages: [], libraries: [] },
  engine: {
    packages: ['wal'],
    libraries: ['abstract-level', 'classic-level', 'memory-level', 'msgpackr', 'rxjs', 'valibot'],
  },
  archive: {
    packages: ['wal'],
    libraries: ['@aws-sdk/client-s3', 'age-encryption', 'fflate', 'level', 'rxjs', 'valibot'],
  },
  hotbackup: { packages: ['archive', 'engine', 'wal'], libraries: ['abstract-level'] },
  recovery: { packages: ['archive', 'engine', 'wal'], libraries: [] },
  cli: {
    packages: ['archive', 'engine', 'hotbackup', 'recovery', 'wal'],
    libraries: ['cli-progress', 'commander', 'prom-client'],
  },
}

/** A library that only one file names can be exchanged in a day. */
const TEST_TOOLS = ['vitest', 'fast-check']

test('the table names every package', () => {
  expect(packageNames()).toEqual(Object.keys(layers).sort())
})

describe.each(Object.entries(layers))('%s', (name, layer) => {
  const below = layer.packages.map((other) => `@timberline/${other}`)
  const imports = importsOf(`packages/${name}/src`)

  test('declares exactly its layer', () => {
    const declared = Object.keys(packageManifest(name).dependencies ?? {})
    expect(declared.sort()).toEqual([...below, ...layer.libraries].sort())
  })

  test('imports only what it declares, by public names', () => {
    const allowed = new Set([...below, ...layer.libraries])
    expect(imports.filter(({ specifier }) => !isLocal(specifier) && !allowed.has(specifier))).toEqual([])
  })

  test('uses what it declares', () => {
    const used = new Set(imports.map(({ specifier }) => specifier))
    expect([...below, ...layer.libraries].filter((dependency) => !used.has(dependency))).toEqual([])
  })

  test('sources do not import test doubles', () => {
    const outside = imports.filter(({ path }) => !path.includes('/src/testing/'))
    expect(outside.filter(({ specifier }) => /(^|\/)testing(\/|$)/.test(specifier))).toEqual([])
  })

  test('relative imports stay inside the package and carry the extension', () => {
    const relative = imports.filter(({ specifier }) => specifier.startsWith('.'))
    const depth = (path: string): number => path.split('/').length - 4
    const offends = relative.filter(({ path, specifier }) => {
      const up = specifier.split('/').filter((part) => part === '..').length
      return up > depth(path) || !specifier.endsWith('.ts')
    })
    expect(offends).toEqual([])
  })

  test('its folders know each other in one direction only', () => {
    expect(circleOf(foldersKnown(`packages/${name}/src`, imports))).toEqual([])
  })

  test('its tests know no package above it', () => {
    const known = new Set([...below, `@timberline/${name}`])
    const foreign = importsOf(`packages/${name}/test`).filter(
      ({ specifier }) =>
        specifier.startsWith('@timberline/') && !known.has(specifier.replace(/\/testing$/, '')),
    )
    expect(foreign).toEqual([])
  })
})

test('a circle of folders is found, however long', () => {
  const known = new Map([
    ['plan', new Set(['history'])],
    ['history', new Set(['source'])],
    ['source', new Set(['plan'])],
  ])
  expect(circleOf(known)).toEqual(['plan', 'history', 'source', 'plan'])
  known.get('source')?.delete('plan')
  expect(circleOf(known)).toEqual([])
})

test('no import reaches into another package', () => {
  const all = [...importsOf('packages'), ...importsOf('test'), ...importsOf('tools')]
  const public_ = /^@timberline\/[a-z]+(\/testing)?$/
  expect(
    all.filter(({ specifier }) => specifier.startsWith('@timberline/') && !public_.test(specifier)),
  ).toEqual([])
})

test('sources do not use what only tests need', () => {
  const used = importsOf('packages').filter(({ path }) => path.includes('/src/'))
  expect(used.filter(({ specifier }) => TEST_TOOLS.includes(specifier))).toEqual([])
})

interface Import {
  readonly path: string
  readonly specifier: string
}

function importsOf(folder: string): readonly Import[] {
  const statement =
    /^\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm
  return textFiles(folder, '.ts').flatMap(({ path, text }) =>
    [...withoutComments(text).matchAll(statement)].map(([, from, dynamic]) => ({
      path,
      specifier: from ?? dynamic ?? '',
    })),
  )
}

/** Files beside the folders are no part of it: they are what all stand on, as errors, or what stands on all, as the index. */
function foldersKnown(source: string, imports: readonly Import[]): ReadonlyMap<string, ReadonlySet<string>> {
  const known = new Map<string, Set<string>>()
  const folderOf = (path: string): string => relative(source, dirname(path))
  for (const { path, specifier } of imports.filter(({ specifier }) => specifier.startsWith('.'))) {
    const from = folderOf(path)
    const to = folderOf(join(dirname(path), specifier))
    if (from === '' || to === '' || from === to) continue
    known.set(from, (known.get(from) ?? new Set()).add(to))
  }
  return known
}

/** The names around the first circle that is met, its beginning named twice; empty when there is none. */
function circleOf(known: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  const cleared = new Set<string>()
  const along = (path: readonly string[], next: string): readonly string[] => {
    if (path.includes(next)) return [...path.slice(path.indexOf(next)), next]
    if (cleared.has(next)) return []
    for (const each of known.get(next) ?? []) {
      const circle = along([...path, next], each)
      if (circle.length > 0) return circle
    }
    cleared.add(next)
    return []
  }
  for (const folder of known.keys()) {
    const circle = along([], folder)
    if (circle.length > 0) return circle
  }
  return []
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')
}

function isLocal(specifier: string): boolean {
  return specifier.startsWith('.') || specifier.startsWith('node:') || builtinModules.includes(specifier)
}
