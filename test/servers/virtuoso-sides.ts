/** Virtuoso's backup_online and our volumes behind the same few verbs, so that one and the same situation can be made on both. */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { timberline } from '../../packages/cli/test/terminal.ts'
import { restoreVirtuoso, type Said, VirtuosoServer } from './virtuoso-server.ts'

/** What a backup is told. */
export interface Series {
  readonly prefix: string
  readonly pages: number
  readonly dirs: readonly string[]
}

/** A call that was made, or was refused by this code. */
export type Call =
  | { readonly type: 'made'; readonly pages: number }
  | { readonly type: 'refused'; readonly code: string }

/** One of the two systems, with a database in use that fills several files of 100 pages. */
export interface BackupSide {
  /** A call that begins a series, or the next one of the series begun before. */
  call(series: Series, kind: 'begin' | 'next'): Promise<Call>
  restore(series: Pick<Series, 'prefix' | 'dirs'>, into: string): Promise<Said>
  /** Ends the use of its database. */
  end(): Promise<void>
}

/** Virtuoso 7 by Debian's programs alone. */
export async function virtuosoSide(folder: string): Promise<BackupSide> {
  const server = await VirtuosoServer.start(folder)
  // 774 pages are there already.
  server.ask('create table kv (k varchar(16) not null primary key, v varchar(100));')
  return {
    call({ prefix, pages, dirs }, kind) {
      const quoted = (text: string): string => `'${text}'`
      const backup = `select backup_online(${quoted(prefix)}, ${String(pages)}, 0, vector(${dirs.map(quoted).join()}));`
      const text = server.ask(...(kind === 'begin' ? ['backup_context_clear();'] : []), backup)
      const code = /\]([A-Z]{2}\d{3}):/.exec(text)?.[1]
      const told = [...text.matchAll(/^\d+$/gm)].at(-1)?.[0]
      return Promise.resolve(
        code === undefined ? { type: 'made', pages: Number(told) } : { type: 'refused', code },
      )
    },
    restore: ({ prefix, dirs }, into) => restoreVirtuoso(prefix, dirs, into),
    end: () => server.stop(),
  }
}

/** Our command. */
export async function timberlineSide(folder: string): Promise<BackupSide> {
  await mkdir(folder)
  const home = join(folder, 'home')
  const db = new TimberLevel(home)
  // 3 MiB of hexadecimal digits, which no log record shortens and a compressor halves.
  for (let n = 0; n < 48; n += 1) await db.put(`key ${String(n)}`, randomBytes(32_768).toString('hex'))
  return {
    async call({ prefix, pages, dirs }, kind) {
      const words = ['--prefix', prefix, '--volume-pages', String(pages), '--dirs', dirs.join()]
      const more = kind === 'begin' ? ['--new-series'] : []
      const { code, out, err } = await timberline(['hotbackup', '-h', home, ...words, ...more, '--json'])
      if (code !== 0) return { type: 'refused', code: /timberline: ([A-Z_]+) /.exec(err)?.[1] ?? err }
      const { volumes } = JSON.parse(out) as { volumes: { pages: number } }
      return { type: 'made', pages: volumes.pages }
    },
    async restore({ prefix, dirs }, into) {
      const words = ['--from-volumes', prefix, '--dirs', dirs.join(), '-h', into]
      const { code, out, err } = await timberline(['recover', ...words])
      return { code, text: out + err }
    },
    end: () => db.close(),
  }
}
