import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** The system errors that the simulated file systems give. */
export type SystemErrorCode =
  | 'EBADF'
  | 'EBUSY'
  | 'EEXIST'
  | 'EINVAL'
  | 'EIO'
  | 'EISDIR'
  | 'EMFILE'
  | 'ENOENT'
  | 'ENOSPC'
  | 'ENOTDIR'
  | 'ENOTEMPTY'
  | 'EPERM'

/** Where a system error happened: the call as the system names it, and the path(s) it was given. */
export interface SystemErrorSite {
  readonly syscall: string
  readonly path?: string | undefined
  readonly dest?: string | undefined
}

/** Makes an error of the shape that Node gives: `code`, `errno`, `syscall`, `path`, `dest`, and Node's wording. */
export function systemError(code: SystemErrorCode, site: SystemErrorSite): NodeJS.ErrnoException {
  const errno = -constants.errno[code]
  const text = getSystemErrorMap().get(errno)?.[1] ?? 'system error'
  const where = site.path === undefined ? '' : ` '${site.path}'`
  const onto = site.dest === undefined ? '' : ` -> '${site.dest}'`
  const error = new Error(`${code}: ${text}, ${site.syscall}${where}${onto}`)
  const names = {
    ...(site.path === undefined ? {} : { path: site.path }),
    ...(site.dest === undefined ? {} : { dest: site.dest }),
  }
  return Object.assign(error, { code, errno, syscall: site.syscall, ...names })
}
