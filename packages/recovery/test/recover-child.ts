// A recovery in a process of its own, to be killed.
import { directoryStore, openArchive } from '@timberline/archive'
import { recover } from '../src/index.ts'

const [, , store = '', home = ''] = process.argv
const archive = await openArchive(directoryStore(store))
process.send?.('begin')
await recover({ from: { archive }, home })
process.exit(0)
