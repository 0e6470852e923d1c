// All decoders of the product.
import type { Decoder } from './decoder.ts'
import { engineDecoders } from './engine-decoders.ts'
import { leveldbDecoders } from './leveldb-decoders.ts'
import { walDecoders } from './wal-decoders.ts'

export const decoders: readonly Decoder[] = [...walDecoders, ...engineDecoders, ...leveldbDecoders]
