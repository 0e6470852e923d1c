/** Quiesces the home it is given, says so, and stays until it is killed. */
import { quiesceHome } from '../../src/session/quiesce-call.ts'

await quiesceHome(process.argv[2] ?? '', { maxMs: 3_600_000 })
process.stdout.write('quiesced\n')
