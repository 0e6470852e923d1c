/** The alphabet of histories: a feature that has to hold beside all others joins with one more entry, and a promise to keep. */
import type { Life } from './history-life.ts'

interface Step {
  /** `real`: LevelDB has a part in it; `any`: it has none. */
  readonly ground: 'any' | 'real'
  /** Without this one before it, it does nothing. */
  readonly needs?: string
  readonly run: (life: Life) => Promise<void>
}

const STEPS = {
  put: { ground: 'any', run: (life) => life.put() },
  delete: { ground: 'any', run: (life) => life.delete() },
  transaction: { ground: 'any', run: (life) => life.transaction() },
  clear: { ground: 'any', run: (life) => life.clear() },
  roll: { ground: 'any', run: (life) => life.roll() },
  ship: { ground: 'any', run: (life) => life.ship() },
  mark: { ground: 'any', run: (life) => life.mark() },
  // Without a backup in the archive, which needs the real ground, it has to find that nothing may go.
  retain: { ground: 'any', run: (life) => life.retain() },
  // The power itself fails between steps; before it, something is written that may or may not be lost.
  crash: { ground: 'any', run: (life) => life.writeLazily() },
  checkpoint: { ground: 'real', run: (life) => life.checkpoint() },
  backup: { ground: 'real', run: (life) => life.backup() },
  restore: { ground: 'real', run: (life) => life.restore() },
  load: { ground: 'real', run: (life) => life.load() },
  follow: { ground: 'real', needs: 'ship', run: (life) => life.follow() },
  promote: { ground: 'real', needs: 'follow', run: (life) => life.promote() },
} as const satisfies Record<string, Step>

export type StepName = keyof typeof STEPS
export type History = readonly StepName[]

export const NAMES: readonly StepName[] = Object.keys(STEPS) as StepName[]

export function runStep(life: Life, name: StepName): Promise<void> {
  return STEPS[name].run(life)
}

export function needsReal(history: History): boolean {
  return history.some((name) => STEPS[name].ground === 'real')
}

/** Whether a step does nothing, because what it needs was not done before. */
export function isVain(history: History): boolean {
  return history.some((name, index) => {
    const { needs }: Step = STEPS[name]
    return needs !== undefined && !history.slice(0, index).some((before) => before === needs)
  })
}

export function historyCount(length: number): number {
  return NAMES.length ** length
}

/** The history of a length with this number, 0 to one below `historyCount`; the first step is the highest digit. */
export function historyAt(length: number, number: number): History {
  const steps: StepName[] = []
  for (let rest = number; steps.length < length; rest = Math.floor(rest / NAMES.length)) {
    steps.push(NAMES[rest % NAMES.length] ?? 'put')
  }
  return steps.reverse()
}

/** All of a length. */
export function historiesOf(length: number): readonly History[] {
  return Array.from({ length: historyCount(length) }, (_, number) => historyAt(length, number))
}
