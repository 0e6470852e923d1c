import { lockHome } from '../../src/home/lock.ts'

const [, , home = ''] = process.argv
await lockHome(home)
process.stdout.write('held\n')
setInterval(() => undefined, 1000)
