// The process around the command: its streams, its signals. Everything else is in run.ts, where tests reach it.
import { once } from 'node:events'
import { lowerPriority } from './priority.ts'
import type { Stage } from './run.ts'

/** The streams of this process, and a signal that Ctrl-C and SIGTERM abort; the second one ends the process at once. */
export function processStage(): Stage {
  const { stdin, stdout, stderr } = process
  return {
    stdin,
    stdout: {
      write: async (text) => {
        if (!stdout.write(text)) await once(stdout, 'drain')
      },
    },
    stderr: {
      write: (text) => {
        stderr.write(text)
      },
      terminal: stderr.isTTY ? stderr : undefined,
    },
    signal: interruption(),
    lowerPriority,
  }
}

const interrupt = new AbortController()
let isWatching = false

function interruption(): AbortSignal {
  if (isWatching) return interrupt.signal
  isWatching = true
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // The second one means it.
      if (interrupt.signal.aborted) process.exit(130)
      interrupt.abort()
    })
  }
  return interrupt.signal
}
