#!/usr/bin/env node
// The process around the command: streams, signals, exit code. Everything else is in run.ts, where tests reach it.
import { once } from 'node:events'
import { runCommandLine } from './run.ts'

const interrupt = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The second one means it.
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
  })
}

// `timberline printlog | head` closes the pipe: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 5)
})

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: {
    write: async (text) => {
      if (!process.stdout.write(text)) await once(process.stdout, 'drain')
    },
  },
  stderr: {
    write: (text) => {
      process.stderr.write(text)
    },
    terminal: process.stderr.isTTY ? process.stderr : undefined,
  },
  signal: interrupt.signal,
})
