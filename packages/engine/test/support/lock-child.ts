import { lockHome } from '../../src/lock.ts'

const [, , home = ''] = process.argv
await lockHome(home)
process.stdout.write('held\n')
setInterval(() => undefined, 1000)
