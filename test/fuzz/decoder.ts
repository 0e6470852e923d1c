// What the harness must know of a decoder to feed it: where its bytes come from, how they are repaired after damage, and what
// it may answer.

/** One decoder of the product, as a row of the table that the harness runs. */
export interface Decoder {
  /** Kebab-case; also the folder of its regression inputs in `corpus/`. */
  readonly name: string
  /** The functions it leads through, as `package/file.ts#function`; held against the sources by `sources.test.ts`. */
  readonly covers: readonly string[]
  /** Codes of the typed errors it may throw; any other is a finding, and each must be seen with the default seed. */
  readonly codes: readonly string[]
  /** Codes that it may throw too, but that hardly any input leads to. */
  readonly rareCodes?: readonly string[]
  /** Valid inputs, made by the product's own encoders; each must decode to a value. */
  readonly seeds: () => readonly Uint8Array[] | Promise<readonly Uint8Array[]>
  /** Decodes; a value, a `Refused`, or a typed error. */
  readonly decode: (input: Buffer) => unknown
  /** How inputs are made beside bare damage to bytes. Default `bytes`. */
  readonly shape?: 'bytes' | 'json' | 'text' | 'msgpack'
  /** Mends checksums after damage, so that what stands behind them is reached. */
  readonly repair?: (input: Buffer) => Buffer
  /** Inputs in one default run; default 700. */
  readonly inputs?: number
  /** The largest input in bytes; default 64 KiB. */
  readonly inputBytesMax?: number
  /** The most that one allocation may ask for, beside 64 times the input; default 64 KiB. */
  readonly allocationBytes?: number
  /** Whether a value may hold numbers that are no safe integers; default false. */
  readonly anyNumber?: boolean
  /** What is wrong with a value, beside what the harness sees in all of them; `undefined` when nothing is. */
  readonly complaint?: (value: never) => string | undefined
  /** Whether every input has a value, so that none can be refused; default false. */
  readonly takesAnything?: boolean
  /** Encodes a value again, where that must lead back to an equal value. */
  readonly encode?: (value: never) => Uint8Array
}

/** The answer of a decoder that says "these bytes are none of mine" by its result and not by an error. */
export class Refused {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

/** A refusal where a decoder answers `undefined`, or a text that says why; else its value. */
export function orRefused(value: unknown, reason = 'undefined'): unknown {
  return value === undefined ? new Refused(reason) : typeof value === 'string' ? new Refused(value) : value
}

/** Several files in one input: for each a length in 32 bits and the bytes. */
export function packFiles(files: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    files.flatMap((file) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(file.length)
      return [length, file]
    }),
  )
}

/** The files in an input; a length that does not fit takes what there is, so that every input has files. */
export function unpackFiles(input: Buffer, count: number): Buffer[] {
  const files: Buffer[] = []
  let position = 0
  for (let index = 0; index < count; index += 1) {
    const bytes = position + 4 <= input.length ? input.readUInt32LE(position) : 0
    const begin = Math.min(position + 4, input.length)
    const end = index === count - 1 ? input.length : Math.min(begin + bytes, input.length)
    files.push(input.subarray(begin, end))
    position = end
  }
  return files
}
