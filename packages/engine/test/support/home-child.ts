// Opens a home in a process of its own and prints what came of it. Usage: home-child.ts open HOME
import { TimberLevel } from '@timberline/engine'

const [, , , home = ''] = process.argv
const db = new TimberLevel(home)
try {
  await db.open()
  await db.close()
  process.stdout.write(JSON.stringify({ code: 'opened' }))
} catch (error) {
  const { code, cause } = error as {
    code: string
    cause: { code: string; cause: { details: { pid: number } } }
  }
  process.stdout.write(JSON.stringify({ code, cause: cause.code, pid: cause.cause.details.pid }))
}
