#!/usr/bin/env node
// The program: streams and exit code of the process; the work is in run.ts.
import { processStage } from './process-stage.ts'
import { runCommandLine } from './run.ts'

// `timberline printlog | head` closes the pipe: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 5)
})

// Node 20 is supported here; that later releases of the AWS client will want a newer one says nothing to who archives today.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true'

process.exitCode = await runCommandLine(process.argv.slice(2), processStage())
