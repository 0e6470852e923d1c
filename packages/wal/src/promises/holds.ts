import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { readFileWhole, removeIfPresent, writeFileUnsynced } from '../files/atomic-file.ts'
import { systemCode } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import {
  isSameProcessAlive,
  processIsAlive,
  processIdentity,
  type ProcessIdentity,
} from '../files/process-identity.ts'

const NAME = /^hold\.(\d+)\.([0-9a-f]+)\.json$/
/** Digits of the tail of a name: those of the boot in which it was made, and as many random ones. */
const BOOT_DIGITS = 8
const TAIL_DIGITS = 16
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
 * before may still take the one segment it was at. It waits for no disk, since a process that power loss ends holds nothing.
 */
export async function placeHold(directory: string, options: HoldOptions): Promise<Hold> {
  const { purpose, fromSegment = 0, pid = process.pid, fileSystem = nodeFileSystem } = options
  const identity = processIdentity(pid)
  const id = `hold.${pid}.${bootDigits(identity)}${randomBytes(4).toString('hex')}.json`
  const path = join(directory, id)
  const content: HoldFile = { ...identity, purpose, fromSegment, createdAtMs: Date.now() }
  await writeFileUnsynced(path, Buffer.from(`${JSON.stringify(content)}\n`), fileSystem)
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
    const [, pid, tail = ''] = NAME.exec(id) ?? []
    if (pid === undefined) continue
    const content = await readHold(join(directory, id), fileSystem)
    if (content === 'gone') continue
    if (content === undefined ? !mayLive(Number(pid), tail) : !isSameProcessAlive(content)) {
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

/** Whether the process of a hold that cannot be read may live: a name outlasts a power loss that its content does not. */
function mayLive(pid: number, tail: string): boolean {
  if (tail.length === TAIL_DIGITS && !tail.startsWith(bootDigits(processIdentity(pid)))) return false
  return processIsAlive(pid)
}

/** The first digits of the boot's id; zeros where the system does not tell boots apart. */
function bootDigits({ bootId }: ProcessIdentity): string {
  return bootId.slice(0, BOOT_DIGITS).padEnd(BOOT_DIGITS, '0')
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
