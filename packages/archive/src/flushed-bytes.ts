/**
 * How much of a large file is handed to the disk at a time, in bytes. Whoever commits to the same disk, such as the database that is archived, waits
 * behind each flush: a millisecond for so much, and for all of a file if it were flushed once at its end.
 */
export const FLUSHED_BYTES: number = 1024 * 1024
