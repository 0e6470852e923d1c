export { TimberlineError, errorsFrom } from './errors.ts'
export type { ErrorDetails, ErrorKind, ErrorRow, TimberlineErrorInit } from './errors.ts'
export type { FileHandle, FileStatus, FileSystem, OpenMode } from './file-system.ts'
