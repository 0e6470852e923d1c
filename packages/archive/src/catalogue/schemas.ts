// The shapes that the journal and the manifests share.
import * as v from 'valibot'
import type { BackupKind } from './backup-manifest.ts'

type Schema<Output> = v.GenericSchema<unknown, Output>

const integer = (min: number): Schema<number> => v.pipe(v.number(), v.safeInteger(), v.minValue(min))

export const environmentIdSchema: Schema<string> = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/))
export const sha256Schema: Schema<string> = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
export const timelineSchema: Schema<number> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(1),
  v.maxValue(99_999_999),
)
export const segmentNumberSchema: Schema<number> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(1),
  v.maxValue(9_999_999_999),
)
/** 0 is "before the first record". */
export const lsnSchema: Schema<number> = integer(0)
export const timeSchema: Schema<number> = integer(0)
export const byteCountSchema: Schema<number> = integer(0)
export const epochSchema: Schema<number> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(0),
  v.maxValue(999_999),
)
export const backupKindSchema: Schema<BackupKind> = v.picklist(['full', 'incremental'])
