/** One place of a source text to change. */
export interface Edit {
  /** Stands exactly once in the file. */
  readonly find: string
  readonly replace: string
}

/** A mistake that somebody could make in the product, and the test that must notice it. */
export interface PlantedBug {
  /** Kebab-case; unique. */
  readonly name: string
  /** What is done wrong, in one sentence. */
  readonly what: string
  /** The source file that has it, from the root of the repository. */
  readonly file: `packages/${string}/src/${string}.ts`
  readonly edits: readonly Edit[]
  readonly caughtBy: {
    readonly testFile: `${string}.test.ts`
    /** The test's full title, the names of its groups in front of it, or a beginning or end of that. */
    readonly title: string
  }
}

/**
 * The source with the bug in it.
 *
 * @throws Error when a text to be replaced does not stand there exactly once: the source has changed under the table
 */
export function plant(
  bug: Pick<PlantedBug, 'name' | 'edits'> & { readonly file: string },
  source: string,
): string {
  let planted = source
  for (const { find, replace } of bug.edits) {
    const count = source.split(find).length - 1
    if (count !== 1) {
      throw new Error(
        `${bug.name}: the text to replace stands ${String(count)} times in ${bug.file}: ${find}`,
      )
    }
    // By a function, because a string would have its dollar signs interpreted.
    planted = planted.replace(find, () => replace)
  }
  return planted
}
