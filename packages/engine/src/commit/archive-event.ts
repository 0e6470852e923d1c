// Told by a database with `durability: 'archived'`, so that nobody has to infer from slow commits that an archive is down.

/** What a database tells about the archives that its commits wait for. */
export type ArchiveEvent =
  /** Archives did not confirm a commit in time; the stated policy applies from now on. */
  | {
      readonly type: 'archive.late'
      readonly lsn: number
      readonly waitedMs: number
      /** Every record up to this one is held by enough archives. */
      readonly archivedLsn: number
      readonly whenLate: 'fail' | 'accept'
    }
  /** The archives hold the commit that was late: commits are waited for as before. */
  | { readonly type: 'archive.caughtUp'; readonly archivedLsn: number }
