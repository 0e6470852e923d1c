// Damage to JSON as a tree: it stays JSON, so that it passes the parser and meets whatever looks at the values.
import type { Random } from '@timberline/wal/testing'

/** As text, because some of them cannot be told in values that JSON.stringify would write. */
const HOSTILE: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1',
  '1.5',
  '1e-300',
  '1e400',
  '-1e400',
  '4294967295',
  '4294967296',
  '9007199254740991',
  '9007199254740992',
  '-9007199254740992',
  '1e308',
  '""',
  '"0"',
  '"-1"',
  '"\\ud800"',
  '"\\u0000"',
  '"../../x"',
  '"/"',
  '"__proto__"',
  '"constructor"',
  '[]',
  '[null]',
  '{}',
  '{"toString":1,"valueOf":1}',
  '{"toString":{"toString":1}}',
  '{"__proto__":{"a":1}}',
  '{"__proto__":null}',
  '{"constructor":{"prototype":null}}',
  '{"length":4294967295}',
  '{"then":"x"}',
  '{"toJSON":1}',
]

/** Digits with a mark that no valid input has, exchanged for hostile text after writing. */
const PLACE = '@hostile@'

/** The text of `root` with one to three of its places replaced, removed, doubled or renamed. */
export function mutateJson(root: unknown, random: Random): string {
  let tree = structuredClone(root)
  const replacements: string[] = []
  for (let times = 1 + random.integer(3); times > 0; times -= 1) {
    const places = placesOf(tree)
    const place = places[random.integer(places.length)]
    if (place === undefined || random.chance(0.02)) {
      replacements.push(hostileText(random))
      tree = PLACE
      continue
    }
    change(place, { random, replacements })
  }
  let index = 0
  return (JSON.stringify(tree, undefined, random.chance(0.5) ? 0 : 2) ?? 'null').replaceAll(
    `"${PLACE}"`,
    () => replacements[index++ % Math.max(1, replacements.length)] ?? 'null',
  )
}

interface Place {
  readonly holder: Record<string, unknown> | unknown[]
  readonly key: string | number
}

function placesOf(tree: unknown): Place[] {
  const places: Place[] = []
  const open: unknown[] = [tree]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (typeof node !== 'object' || node === null) continue
    const holder = node as Record<string, unknown> | unknown[]
    const keys = Array.isArray(holder) ? holder.keys() : Object.keys(holder)
    for (const key of keys) {
      places.push({ holder, key })
      open.push(Reflect.get(holder, key))
    }
  }
  return places
}

function change({ holder, key }: Place, how: { random: Random; replacements: string[] }): void {
  const { random, replacements } = how
  const value: unknown = Reflect.get(holder, key)
  switch (random.integer(7)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1)
      else Reflect.deleteProperty(holder, key)
      return
    case 1:
      if (Array.isArray(holder)) holder.splice(Number(key), 0, structuredClone(value))
      else Reflect.set(holder, `${key}${random.chance(0.5) ? '' : 'x'}`, { [key]: value })
      return
    case 2:
      if (typeof value === 'number') Reflect.set(holder, key, value + random.integer(5) - 2)
      else if (typeof value === 'string') Reflect.set(holder, key, damagedText(value, random))
      else Reflect.set(holder, key, [value])
      return
    default:
      replacements.push(hostileText(random))
      Reflect.set(holder, key, PLACE)
  }
}

function damagedText(text: string, random: Random): string {
  const at = random.integer(text.length + 1)
  const inserted =
    ['', '\0', '\n', ' ', '/', '..', '0', '\u{1f600}', 'x'.repeat(200)][random.integer(9)] ?? ''
  return text.slice(0, at) + inserted + text.slice(at + random.integer(3))
}

function hostileText(random: Random): string {
  // A depth that no recursive reader survives, rarely because it is long.
  if (random.chance(0.02)) return `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  if (random.chance(0.02)) return `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`
  return HOSTILE[random.integer(HOSTILE.length)] ?? 'null'
}
