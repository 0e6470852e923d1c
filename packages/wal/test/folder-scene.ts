// A log folder on the simulated disk that something else changes at a chosen moment: what a reader without a lock must live with.
import { join } from 'node:path'
import { segmentName } from '../src/index.ts'
import { CrashFileSystem, FaultFileSystem, type Operation } from '../src/testing/index.ts'
import { commitGroup, DIRECTORY, openMemoryLog, segmentContent } from './log-scenario.ts'

/** The path of a segment in the folder of the scene. */
export function pathOf(number: number): string {
  return join(DIRECTORY, segmentName(number))
}

/** Three sealed segments with the records 1–2, 3–4 and 5–6, and an active fourth with record 7, closed with a fence. */
export async function fourSegments(): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem()
  const log = await openMemoryLog(disk)
  for (const [first, second] of ['ab', 'cd', 'ef']) {
    await commitGroup(log, first ?? '')
    await commitGroup(log, second ?? '')
    await log.roll()
  }
  await commitGroup(log, 'g')
  await log.close()
  return disk
}

/** A log whose last segment is sealed: its writer died before the next one was made. */
export async function endsInSeal(): Promise<CrashFileSystem> {
  const disk = await fourSegments()
  await disk.remove(pathOf(3))
  await disk.remove(pathOf(4))
  return disk
}

/** Puts bytes in the place of a segment. */
export async function putSegment(disk: CrashFileSystem, number: number, content: Uint8Array): Promise<void> {
  if ((await disk.status(DIRECTORY)) === undefined) await disk.makeDirectory(DIRECTORY)
  if ((await disk.status(pathOf(number))) !== undefined) await disk.remove(pathOf(number))
  const handle = await disk.open(pathOf(number), 'create')
  await handle.write(content, 0)
  await handle.close()
}

/** A folder with these contents as its segments, from number 1 on. */
export async function folderOf(...contents: readonly Uint8Array[]): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem()
  for (const [index, content] of contents.entries()) await putSegment(disk, index + 1, content)
  return disk
}

/**
 * The disk as somebody sees it beside whom `act` happens, once, just before the operation number `nth` that matches. What `act`
 * does to the simulated disk is done when it returns.
 */
export function meanwhile(
  disk: CrashFileSystem,
  moment: { readonly on: (operation: Operation) => boolean; readonly nth?: number },
  act: () => void,
): FaultFileSystem {
  let seen = 0
  return new FaultFileSystem(disk, (operation) => {
    if (moment.on(operation)) {
      seen += 1
      if (seen === (moment.nth ?? 1)) act()
    }
    return undefined
  })
}

/** Matches operations of one kind on one segment. */
export function on(kind: Operation['kind'], path: string): (operation: Operation) => boolean {
  return (operation) => operation.kind === kind && operation.path === path
}

export { segmentContent }
