/** What a process may find in the place of WebAssembly: nothing, or one that is denied the addresses for its memory. */
export const LACKING_WEB_ASSEMBLY: readonly (readonly [what: string, given: () => object | undefined])[] = [
  ['without WebAssembly', () => undefined],
  [
    'that is denied its memory',
    () => ({
      Memory: class {
        constructor() {
          throw new RangeError('could not allocate memory')
        }
      },
    }),
  ],
]
