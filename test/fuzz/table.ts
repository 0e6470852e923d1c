// All decoders of the product.
import { archiveDecoders } from './archive-decoders.ts'
import { cliDecoders } from './cli-decoders.ts'
import type { Decoder } from './decoder.ts'
import { engineDecoders } from './engine-decoders.ts'
import { leveldbDecoders } from './leveldb-decoders.ts'
import { recoveryDecoders } from './recovery-decoders.ts'
import { volumeDecoders } from './volume-decoders.ts'
import { walDecoders } from './wal-decoders.ts'

export const decoders: readonly Decoder[] = [
  ...walDecoders,
  ...engineDecoders,
  ...leveldbDecoders,
  ...archiveDecoders,
  ...recoveryDecoders,
  ...volumeDecoders,
  ...cliDecoders,
]
