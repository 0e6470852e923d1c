import type { Reporter, TestCase } from 'vitest/node'

/**
 * One line per test at the end: how it ended, how long it took, and what it counted, which is what it printed last. What a file
 * printed outside its tests, such as a sum over all of them, follows as it is.
 */
export class SoakSummary implements Reporter {
  readonly #counted = new Map<string, string>()
  readonly #tests: TestCase[] = []

  onUserConsoleLog({ taskId, content }: { taskId?: string; content: string }): void {
    this.#counted.set(taskId ?? '', content.trim().split('\n').at(-1) ?? '')
  }

  onTestCaseResult(test: TestCase): void {
    this.#tests.push(test)
  }

  lines(): readonly string[] {
    const others = new Map(this.#counted)
    const lines = this.#tests.map((test) => {
      const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(1)
      others.delete(test.id)
      const counted = this.#counted.get(test.id) ?? test.name
      return `${test.result().state} in ${seconds} s: ${test.module.relativeModuleId}: ${counted}`
    })
    return [...lines, ...others.values()]
  }
}
