import type { Reporter, TestCase } from 'vitest/node'

/** One line per test at the end: how it ended, how long it took, and what it counted, which is what it printed last. */
export class SoakSummary implements Reporter {
  readonly #counted = new Map<string, string>()
  readonly #lines: string[] = []

  onUserConsoleLog({ taskId, content }: { taskId?: string; content: string }): void {
    const line = content.trim().split('\n').at(-1)
    if (taskId !== undefined && line !== undefined) this.#counted.set(taskId, line)
  }

  onTestCaseResult(test: TestCase): void {
    const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(1)
    const counted = this.#counted.get(test.id) ?? 'it counted nothing'
    this.#lines.push(`${test.result().state} in ${seconds} s: ${test.module.relativeModuleId}: ${counted}`)
  }

  lines(): readonly string[] {
    return this.#lines
  }
}
