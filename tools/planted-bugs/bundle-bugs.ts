import type { PlantedBug } from './planted-bug.ts'

const bundles = 'packages/archive/test/bundles.test.ts'
const file = 'packages/archive/src/stores/growing-file.ts'

/** Mistakes with pieces that are appended: what is told when, and what a reader believes. */
export const bundleBugs: readonly PlantedBug[] = [
  {
    name: 'appended-without-a-flush',
    what: 'a part is told to be durable that was written only',
    file,
    edits: [{ find: '    await this.#handle.sync()\n', replace: '' }],
    caughtBy: {
      testFile: bundles,
      title:
        'a bundle in a folder has every part that was confirmed, and of the next one all or nothing (posix)',
    },
  },
  {
    name: 'no-folder-fsync-for-a-bundle',
    what: 'parts are told to be durable in a bundle whose name is not',
    file: 'packages/archive/src/stores/directory-store.ts',
    edits: [
      {
        find: '      await this.#fileSystem.syncDirectory(dirname(path))\n    } catch',
        replace: '    } catch',
      },
    ],
    caughtBy: {
      testFile: bundles,
      title:
        'a bundle in a folder has every part that was confirmed, and of the next one all or nothing (posix)',
    },
  },
  {
    name: 'appended-behind-a-failed-flush',
    what: 'a part is appended to an object whose last flush failed',
    file,
    edits: [{ find: '    this.#isFailed = true\n    const position', replace: '    const position' }],
    caughtBy: {
      testFile: bundles,
      title: 'a bundle in a folder takes nothing behind an operation that failed, whichever it was',
    },
  },
  {
    name: 'confirmed-before-the-part-is-flushed',
    what: 'the home is told of a piece while its part is still being appended',
    file: 'packages/archive/src/shipping/bundle-writer.ts',
    edits: [
      {
        find: 'await this.#append(bundle, encodePart(name, bundle.object.position, stored))',
        replace:
          'this.#append(bundle, encodePart(name, bundle.object.position, stored)).catch(() => undefined)',
      },
    ],
    caughtBy: {
      testFile: bundles,
      title: 'pieces in a bundle are put when they are flushed, and not before',
    },
  },
  {
    name: 'bundle-used-after-a-failure',
    what: 'a shipper tries again to append to the bundle in which it failed',
    file: 'packages/archive/src/shipping/bundle-writer.ts',
    edits: [
      {
        find: 'another bundle.\n      await this.close()\n',
        replace: 'another bundle.\n',
      },
    ],
    caughtBy: {
      testFile: bundles,
      title:
        'pieces in a bundle go on in another bundle after a flush that failed, and nothing is told before that',
    },
  },
  {
    name: 'torn-part-believed',
    what: 'a part counts though its object is not whole and nothing stands behind it',
    file: 'packages/archive/src/objects/piece-parts.ts',
    edits: [{ find: '} else doubtful = part', replace: '} else parts.push(part)' }],
    caughtBy: {
      testFile: bundles,
      title: 'the parts of a bundle end before one that is torn, wherever it is',
    },
  },
  {
    name: 'damaged-part-passed-over',
    what: 'a part that was confirmed and is damaged is taken for one that never was',
    file: 'packages/archive/src/objects/piece-parts.ts',
    edits: [{ find: 'if (doubtful !== undefined) parts.push(doubtful)', replace: '' }],
    caughtBy: {
      testFile: bundles,
      title: 'the parts of a bundle that others stand behind are told though they are not whole',
    },
  },
  {
    name: 'bundles-adopted-as-they-are',
    what: 'a shipper tells of pieces whose flush may have failed under the one before it',
    file: 'packages/archive/src/shipping/ship-begin.ts',
    edits: [{ find: '    await mergePieces(voyage, run)\n', replace: '    void run\n' }],
    caughtBy: {
      testFile: bundles,
      title: 'pieces in a bundle are put anew by a shipper that begins, before it tells anybody of them',
    },
  },
  {
    name: 'bundle-removed-with-pieces-in-it',
    what: 'a bundle goes with the first of its pieces that is replaced',
    file: 'packages/archive/src/shipping/ship-segment.ts',
    edits: [
      {
        find: 'bundle === undefined || !kept.has(bundle)',
        replace: 'kept.size >= 0 || bundle === undefined',
      },
    ],
    caughtBy: { testFile: bundles, title: 'pieces in a bundle keep it while one of them is needed' },
  },
]
