/** A folder becomes a home by the removal of its label: what it is then has to survive a power loss, in whatever order names are kept. */
import { basename } from 'node:path'
import { STANDBY_LABEL } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import { FaultFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { promote } from '../src/index.ts'
import { followed } from './standby-scene.ts'

test('a promotion has the whole home durable, names too, before its label goes, and then that', async () => {
  const { archive, home } = await followed()
  const fileSystem = new FaultFileSystem(nodeFileSystem)
  await promote({ archive, home, fileSystem })
  const { operations } = fileSystem
  const gone = operations.findLastIndex(
    ({ kind, path }) => kind === 'remove' && basename(path) === STANDBY_LABEL,
  )
  expect(operations[gone - 1]).toMatchObject({ kind: 'syncDirectory', path: home })
  expect(operations[gone + 1]).toMatchObject({ kind: 'syncDirectory', path: home })
})
