import { readFileSync } from 'node:fs'
import { systemCode } from '../errors.ts'

/** What tells one run of a process from another with the same pid; empty strings where the system does not say. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot at which the process started. */
  readonly startedAt: string
  /** Names one boot of the machine. */
  readonly bootId: string
}

/** Who the process with this pid is now. */
export function processIdentity(pid: number): ProcessIdentity {
  return { pid, startedAt: startOf(pid), bootId: bootId() }
}

/** Whether that very process still runs: same boot, same pid, same start. */
export function isSameProcessAlive(identity: ProcessIdentity): boolean {
  if (identity.bootId !== '' && bootId() !== '' && identity.bootId !== bootId()) return false
  if (!processIsAlive(identity.pid)) return false
  const startedAt = startOf(identity.pid)
  return identity.startedAt === '' || startedAt === '' || identity.startedAt === startedAt
}

/** Whether some process has this pid. */
export function processIsAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives and belongs to another user.
    return systemCode(error) === 'EPERM'
  }
}

function startOf(pid: number): string {
  const stat = readSystemFile(`/proc/${pid}/stat`)
  // The command's name stands in parentheses and may hold spaces; the start is the 20th field after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[19] ?? ''
}

function bootId(): string {
  return readSystemFile('/proc/sys/kernel/random/boot_id').trim()
}

/** Empty where there is no such file: not Linux, or the process is gone. */
function readSystemFile(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
