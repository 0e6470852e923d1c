import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { readFileWhole, removeIfPresent, writeFileAtomic } from '../files/atomic-file.ts'
import { systemCode } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import { isSameProcessAlive, processIsAlive, processIdentity } from '../files/process-identity.ts'

const NAME = /^hold\.(\d+)\.[0-9a-f]+\.json$/
const HOLD_BYTES_MAX = 64 * 1024

/** What a hold is for. */
export interface HoldOptions {
  /** Shown to whoever wonders why segments stay; one line. */
  readonly purpose: string
  /** Hold segments from this number on; default: all. */
  readonly fromSegment?: number | undefined
  /** The process whose life is the hold's; default: this one. */
  readonly pid?: number | undefined
  readonly fileSystem?: FileSystem | undefined
}

/** Keeps segments from being removed until it is released or its process ends. */
export interface Hold {
  /** Its file's name. */
  readonly id: string
  release(): Promise<void>
}

/** A hold as others see it. */
export interface HoldInfo {
  readonly id: string
  readonly pid: number
  readonly purpose: string
  readonly fromSegment: number
  readonly createdAtMs: number
}

interface HoldFile {
  readonly pid: number
  readonly startedAt: string
  readonly bootId: string
  readonly purpose: string
  readonly fromSegment: number
  readonly createdAtMs: number
}

/**
 * Keeps the segments of a log folder from being removed. Place it first and look for segments afterwards: a removal that began
 * before may still take the one segment it was at.
 */
export async function placeHold(directory: string, options: HoldOptions): Promise<Hold> {
  const { purpose, fromSegment = 0, pid = process.pid, fileSystem = nodeFileSystem } = options
  const id = `hold.${pid}.${randomBytes(6).toString('hex')}.json`
  const path = join(directory, id)
  const content: HoldFile = { ...processIdentity(pid), purpose, fromSegment, createdAtMs: Date.now() }
  await writeFileAtomic(path, Buffer.from(`${JSON.stringify(content)}\n`), fileSystem)
  return {
    id,
    release: async () => {
      await removeIfPresent(path, fileSystem)
    },
  }
}

/** The holds whose processes live; those of dead ones are removed. */
export async function liveHolds(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<readonly HoldInfo[]> {
  const holds: HoldInfo[] = []
  for (const id of await fileSystem.list(directory)) {
    const pid = NAME.exec(id)?.[1]
    if (pid === undefined) continue
    const content = await readHold(join(directory, id), fileSystem)
    if (content === 'gone') continue
    if (content === undefined ? !processIsAlive(Number(pid)) : !isSameProcessAlive(content)) {
      await removeIfPresent(join(directory, id), fileSystem)
      continue
    }
    // A hold that cannot be read holds everything while its process may live: to keep a segment too long is the lesser harm.
    const { purpose, fromSegment, createdAtMs } = content ?? {
      purpose: 'unreadable',
      fromSegment: 0,
      createdAtMs: 0,
    }
    holds.push({ id, pid: Number(pid), purpose, fromSegment, createdAtMs })
  }
  return holds
}

async function readHold(path: string, fileSystem: FileSystem): Promise<HoldFile | 'gone' | undefined> {
  let bytes: Buffer
  try {
    bytes = await readFileWhole(path, fileSystem, HOLD_BYTES_MAX)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'gone'
    throw error
  }
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return isHoldFile(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isHoldFile(value: unknown): value is HoldFile {
  if (typeof value !== 'object' || value === null) return false
  const file = value as Partial<Record<keyof HoldFile, unknown>>
  return (
    Number.isSafeInteger(file.pid) &&
    Number(file.pid) >= 1 &&
    typeof file.startedAt === 'string' &&
    typeof file.bootId === 'string' &&
    typeof file.purpose === 'string' &&
    Number.isSafeInteger(file.fromSegment) &&
    typeof file.createdAtMs === 'number'
  )
}
