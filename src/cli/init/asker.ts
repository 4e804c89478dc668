import { createInterface, type Interface } from 'node:readline'
import { UserError } from '../../util/user-error.ts'

/** Asks on a terminal; typing ahead works. Questions go to stderr: stdout is for lines to copy. */
export class Asker {
  readonly #terminal: Interface
  readonly #lines: AsyncIterator<string>
  #isClosed = false

  constructor() {
    this.#terminal = createInterface({ input: process.stdin, output: process.stderr })
    this.#lines = this.#terminal[Symbol.asyncIterator]()
    this.#terminal.on('close', () => {
      this.#isClosed = true
    })
  }

  /** @throws {UserError} if the input ends (Ctrl-C, Ctrl-D). */
  async question(text: string): Promise<string> {
    // Answers that were typed ahead, with Ctrl-D at the end, count.
    if (this.#isClosed) process.stderr.write(text)
    else {
      this.#terminal.setPrompt(text)
      this.#terminal.prompt()
    }
    const { value, done } = await this.#lines.next()
    if (done) throw new UserError('\nnothing was written')
    return String(value).trim()
  }

  async yesOrNo(question: string, fallback: boolean): Promise<boolean> {
    for (;;) {
      const answer = (await this.question(`${question} [${fallback ? 'Y/n' : 'y/N'}] `)).toLowerCase()
      if (answer === '') return fallback
      if (['y', 'yes'].includes(answer)) return true
      if (['n', 'no'].includes(answer)) return false
    }
  }

  close(): void {
    this.#terminal.close()
  }
}
