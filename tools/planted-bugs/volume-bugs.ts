import type { PlantedBug } from './planted-bug.ts'

const faults = 'packages/archive/test/volume-faults.test.ts'
const writer = 'packages/archive/src/volumes/call-writer.ts'
const calls = 'packages/hotbackup/test/volumes.test.ts'

/** Mistakes of backups in volumes: what a full disk costs, when a call counts, what is believed of a volume. */
export const volumeBugs: readonly PlantedBug[] = [
  {
    name: 'volume-checksum-not-compared',
    what: 'a volume is restored without a look at its checksum',
    file: 'packages/archive/src/volumes/volume-file.ts',
    edits: [
      {
        find: "if (hash.update(table).digest('hex') !== header.sha256)",
        replace: "if (hash.update(table).digest('hex') === '')",
      },
    ],
    caughtBy: {
      testFile: faults,
      title:
        'one changed byte anywhere in a series is refused by name, and so is any cut and any byte too many',
    },
  },
  {
    name: 'volume-named-before-all-parts-are',
    what: 'the first volume of a call gets its name while the names of its other parts are not durable',
    file: writer,
    edits: [
      {
        find: 'the first rename may promise that the others are there.\n    await this.#syncFolders()',
        replace: 'the first rename may promise that the others are there.',
      },
    ],
    caughtBy: {
      testFile: faults,
      title: 'a call of a series that loses its power at any operation counts wholly or not at all (posix)',
    },
  },
  {
    name: 'earlier-volumes-removed-with-a-failed-call',
    what: 'a call that fails takes a volume of an earlier call along',
    file: writer,
    edits: [
      {
        find: 'for (const { directory, part } of this.#parts) {\n      const path = join(directory, part)',
        replace: `const first = { directory: this.#place.dirs[0] ?? '', part: volumeName(this.#place.prefix, 1) }
    for (const { directory, part } of [...this.#parts, first]) {
      const path = join(directory, part)`,
      },
    ],
    caughtBy: {
      testFile: faults,
      title:
        'a folder without room with none behind it is one error, and all files of this call are gone, none of the earlier ones',
    },
  },
  {
    name: 'full-disk-costs-what-was-written',
    what: 'a volume goes on in the next folder without what was written of it before the disk was full',
    file: 'packages/archive/src/volumes/spill-file.ts',
    edits: [{ find: 'await this.#copyFrom(from)', replace: 'await this.#opened()' }],
    caughtBy: {
      testFile: faults,
      title: 'a folder without room does not cost a byte of what was written into it',
    },
  },
  {
    name: 'series-parameters-ignored',
    what: 'as with Virtuoso, what a later call says of prefix, pages and folders counts for nothing',
    file: 'packages/hotbackup/src/volumes/begin-series.ts',
    edits: [
      {
        find: 'if (known !== undefined) refuseChange(known, { ...target, dirs })',
        replace: 'void refuseChange',
      },
    ],
    caughtBy: {
      testFile: calls,
      title: 'a call is refused with other parameters than those of the series, until a new one is asked for',
    },
  },
  {
    name: 'file-continued-without-comparing',
    what: 'what a file has beyond the length that the series holds is added, whatever stands before it',
    file: 'packages/hotbackup/src/volumes/volumes-sink.ts',
    edits: [
      {
        find: 'if (isLonger && !(await beginsAs(known.file, range, context))) {',
        replace: 'if (isLonger && range.bytes < 0) {',
      },
    ],
    caughtBy: {
      testFile: calls,
      title: 'the calls of a series hold of a longer file only its end, of another one all of it',
    },
  },
  {
    name: 'parity-length-forgotten',
    what: 'a volume that is made anew is as long as the longest of its group',
    file: 'packages/archive/src/volumes/parity.ts',
    edits: [{ find: 'bytes: lengths[lost - header.first] ?? 0,', replace: 'bytes: Math.max(...lengths),' }],
    caughtBy: {
      testFile: 'packages/archive/test/parity.test.ts',
      title: 'parity makes up for content of any kind and length',
    },
  },
  {
    name: 'lost-volume-made-up-in-silence',
    what: 'nobody is told that a volume was lost and made anew',
    file: 'packages/archive/src/volumes/series-proof.ts',
    edits: [
      { find: "const reason = volume.damage === undefined ? 'missing' : 'damaged'", replace: 'continue' },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/parity.test.ts',
      title: 'parity of several groups makes up for one in each',
    },
  },
  {
    name: 'parity-beside-its-volumes',
    what: 'a parity volume goes into the folder of the last volume that it stands for',
    file: 'packages/archive/src/volumes/folder-turns.ts',
    edits: [
      {
        find: 'volumeTurn(call, firstOfGroup) + call.parity : 0',
        replace: 'volumeTurn(call, firstOfGroup) + call.parity - 1 : 0',
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/parity.test.ts',
      title: 'never hold two files of one group where there are enough of them: a lost disk is made up for',
    },
  },
]
