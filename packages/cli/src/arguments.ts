import { cliError } from './errors.ts'

/** What an option's text becomes. */
export type OptionValue = string | number | boolean | readonly string[]

/** One option of a command, as help, README and parser see it. */
export interface OptionRow {
  /** The letter, without the dash. */
  readonly letter?: string
  /** The long name, without dashes. */
  readonly name: string
  /** The name of its value in help; an option without one is a switch. */
  readonly value?: string
  readonly help: string
  readonly isRequired?: boolean
  /** May be given several times. */
  readonly repeats?: boolean
  /** Reads the value; throws CLI_USAGE. Default: the text itself. */
  readonly parse?: (text: string) => string | number
}

/** A command's options and operands after parsing. */
export class Arguments {
  readonly operands: readonly string[]
  readonly #values: ReadonlyMap<string, OptionValue>

  constructor(values: ReadonlyMap<string, OptionValue>, operands: readonly string[] = []) {
    this.#values = values
    this.operands = operands
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  flag(name: string): boolean {
    return this.#values.get(name) === true
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name)
    return typeof value === 'string' ? value : undefined
  }

  /** The text of an option that the parser or the command's check has made sure of. */
  required(name: string): string {
    const value = this.text(name)
    if (value === undefined) throw cliError('CLI_USAGE', `--${name} is missing`)
    return value
  }

  number(name: string): number | undefined {
    const value = this.#values.get(name)
    return typeof value === 'number' ? value : undefined
  }

  list(name: string): readonly string[] {
    const value = this.#values.get(name)
    return typeof value === 'object' ? value : []
  }
}

/** Reads a whole number within bounds; `what` names it in the complaint. */
export function wholeNumber(
  what: string,
  bounds: { readonly min: number; readonly max?: number },
): (text: string) => number {
  const { min, max = Number.MAX_SAFE_INTEGER } = bounds
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      const range =
        max === Number.MAX_SAFE_INTEGER ? `from ${String(min)}` : `from ${String(min)} to ${String(max)}`
      throw cliError('CLI_USAGE', `'${text}' is not ${what}: a whole number ${range}`)
    }
    return value
  }
}

/** Reads one of a few words; `what` names it in the complaint. */
export function oneWord(what: string, words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text
    throw cliError('CLI_USAGE', `'${text}' is not ${what}: ${words.join(' or ')}`)
  }
}

/** The folders of a list `A,B,C`. */
export function folderList(text: string): readonly string[] {
  return text.split(',').filter((folder) => folder !== '')
}

/** Reads a positive decimal number. */
export function positiveNumber(what: string): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+(\.\d+)?$/.test(text) || !(value > 0)) {
      throw cliError('CLI_USAGE', `'${text}' is not ${what}: a number above 0`)
    }
    return value
  }
}
