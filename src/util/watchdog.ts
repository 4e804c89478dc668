import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often to look at a program, as a part of the time that it may be silent. */
const LOOKS = 5
const KILL_AFTER_MS = 5_000

/** The part of a running program that the watchdog needs. */
export interface Program {
  pid?: number | undefined
  /** Sends a signal to its whole process group. */
  kill(signal: NodeJS.Signals): boolean
}

/**
 * Ends a program if the caller aborts it, or if it was silent for too long: it wrote no line, and neither it nor its children
 * read or wrote a byte. Lines alone are not enough: Nix 2.8 writes none while it uploads a path over ssh or compresses a large
 * one.
 */
export class Watchdog {
  /** Why we ended the program, if we did. */
  ended: 'silent' | 'aborted' | undefined
  readonly #program: Program
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = () => this.#end('aborted')
  #looks: NodeJS.Timeout | undefined
  #kill: NodeJS.Timeout | undefined
  #isKilled = false
  #lastSign = performance.now()
  #bytes = 0

  /** @param silenceMs How long it may be silent; undefined: for ever. */
  constructor(program: Program, signal: AbortSignal | undefined, silenceMs: number | undefined) {
    this.#program = program
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (signal?.aborted) this.#onAbort()
    if (silenceMs !== undefined) this.#looks = setInterval(() => this.#look(silenceMs), silenceMs / LOOKS)
  }

  /** Called when the program has written something. */
  seen(): void {
    this.#lastSign = performance.now()
  }

  stop(): void {
    clearInterval(this.#looks)
    clearTimeout(this.#kill)
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }

  /** Resolves when all processes of an ended program are gone: its children may live longer. */
  async left(): Promise<void> {
    const { pid } = this.#program
    while (this.ended && pid !== undefined && !this.#isKilled && isGroup(pid)) await sleep(20)
  }

  #look(silenceMs: number): void {
    const bytes = this.#program.pid === undefined ? 0 : bytesMoved(this.#program.pid)
    if (bytes !== this.#bytes) this.seen()
    this.#bytes = bytes
    if (performance.now() - this.#lastSign >= silenceMs) this.#end('silent')
  }

  #end(why: 'silent' | 'aborted'): void {
    if (this.ended) return
    this.ended = why
    this.#program.kill('SIGTERM')
    this.#kill = setTimeout(() => {
      this.#isKilled = true
      this.#program.kill('SIGKILL')
    }, KILL_AFTER_MS)
  }
}

/** True while a process of the group exists. */
function isGroup(leader: number): boolean {
  try {
    return process.kill(-leader, 0)
  } catch {
    return false
  }
}

/** The bytes that a process and its descendants have read and written (proc(5), `io`); 0 if there is no /proc. */
function bytesMoved(pid: number): number {
  try {
    const io = readFileSync(`/proc/${pid}/io`, 'utf8')
    const own = [...io.matchAll(/^[rw]char: (\d+)$/gm)].reduce((sum, [, bytes]) => sum + Number(bytes), 0)
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    const pids = children === '' ? [] : children.split(' ').map(Number)
    return pids.reduce((sum, child) => sum + bytesMoved(child), own)
  } catch {
    return 0
  }
}
