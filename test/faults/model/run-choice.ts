/** Which histories a run of the model takes, and how a failure tells what to set to repeat it. */
import fc from 'fast-check'

/** Which histories to run; a failure prints all values that repeat it. */
export interface RunChoice {
  readonly seed: number
  readonly runs: number
  /** Of a failure: which run, and the steps by which it was shrunk. */
  readonly path?: string | undefined
  /** After so long the shortest failure so far is told, or the histories so far count, milliseconds. Default: no end. */
  readonly msMax?: number
  /** Of a failure: which of its commands ran. */
  readonly replayPath?: string | undefined
}

/** `SEED`, `MODEL_PATH` and `MODEL_REPLAY` of the environment; the default seed is always the same. */
export function choiceFromEnvironment(runs: number, seed = 20_261): RunChoice {
  const { SEED, MODEL_PATH: path, MODEL_REPLAY: replayPath } = process.env
  return { seed: SEED === undefined ? seed : Number(SEED), runs, path, replayPath }
}

/** The options of `fc.commands` for a choice. */
export function commandOptions({ replayPath }: RunChoice, maxCommands: number): fc.CommandsContraints {
  // Lengths are drawn evenly up to the bound: long histories find what short ones cannot.
  return { maxCommands, size: 'max', ...(replayPath === undefined ? {} : { replayPath }) }
}

/** Checks a property; a failure reads as its shrunk history, what was broken, and how to repeat it. */
export async function checkHistories<Drawn extends unknown[]>(
  property: fc.IAsyncProperty<Drawn>,
  { seed, runs, path, msMax }: RunChoice,
): Promise<void> {
  const details = await fc.check(property, {
    seed,
    numRuns: runs,
    ...(path === undefined ? {} : { path }),
    ...(msMax === undefined ? {} : { interruptAfterTimeLimit: msMax }),
  })
  if (!details.failed) return
  const { counterexample, counterexamplePath, errorInstance, numRuns, numShrinks } = details
  const text = (counterexample ?? []).map(String)
  const replay = /replayPath="([^"]*)"/.exec(text.join(' '))?.[1] ?? ''
  const history = text.map((one) => one.replace(/ ?\/\*.*\*\//, '').replaceAll(/,(?=[^ ])/g, '\n    '))
  const reason = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  const lines = [
    `${reason}`,
    `history (run ${numRuns}, shrunk ${numShrinks} times):`,
    ...history.map((line) => `    ${line}`),
    `repeat with SEED=${details.seed} MODEL_PATH='${counterexamplePath ?? ''}' MODEL_REPLAY='${replay}'`,
  ]
  throw new Error(lines.join('\n'), { cause: errorInstance })
}
