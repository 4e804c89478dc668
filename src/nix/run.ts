import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { execa } from 'execa'
import { codeOf } from '../config/user-error.ts'

/** How a program is run. */
export interface RunOptions {
  /** Added to this process's environment. */
  env?: Readonly<Record<string, string>>
  /** Ends the program: SIGTERM to its whole process group, SIGKILL five seconds later. */
  signal?: AbortSignal
  /** The program is ended when it has written nothing for so long. */
  silenceMs?: number
  /** Called with each line the program writes to stderr. */
  onLine?: (line: string) => void
  /** Bytes of stdout to take at most. */
  stdoutMax?: number
  /** Written to the program's stdin, which is empty otherwise. */
  input?: string
}

/** How a program ended. */
export interface RunResult {
  /** Undefined where a signal ended it. */
  exitCode: number | undefined
  stdout: string
  /** What it wrote to stderr, line by line, the last of it. */
  lines: string[]
  /** Why it was ended from here, if it was. */
  ended?: 'silent' | 'aborted'
}

/** The program could not be started at all. */
export class NotStartedError extends Error {
  override name = 'NotStartedError'
}

const KILL_AFTER_MS = 5_000
const LINES_KEPT = 200
/** What we ask Nix for on stdout is a list of store paths; more than this is not it. */
const STDOUT_MAX = 16 << 20

/**
 * Runs a program in a process group of its own, so that a Ctrl-C meant for us doesn't reach it and that ending it
 * takes along whatever it started (ssh).
 * @throws {NotStartedError} where it isn't there or isn't executable.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const child = execa(program, args, {
    env: { ...options.env },
    killDescendants: true,
    reject: false,
    buffer: { stdout: true, stderr: false },
    maxBuffer: { stdout: options.stdoutMax ?? STDOUT_MAX },
    stripFinalNewline: false,
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
  })
  const watch = new Watch(child, options)
  const lines: string[] = []
  const reading = readLines(child.stderr, (line) => {
    watch.alive()
    options.onLine?.(line)
    lines.push(line)
    if (lines.length > LINES_KEPT) lines.shift()
  })
  try {
    const [result] = await Promise.all([child, reading])
    if (result.failed && result.exitCode === undefined && result.signal === undefined && !watch.ended) {
      throw new NotStartedError(notStarted(program, result.cause ?? result))
    }
    const stdout = typeof result.stdout === 'string' ? result.stdout : ''
    return { exitCode: result.exitCode, stdout, lines, ...(watch.ended ? { ended: watch.ended } : {}) }
  } finally {
    watch.stop()
  }
}

function notStarted(program: string, error: unknown): string {
  if (codeOf(error) === 'ENOENT') return `there is no program "${program}" on PATH`
  return `"${program}" could not be started: ${error instanceof Error ? error.message : String(error)}`
}

async function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  // A child of the program that keeps its stderr open after it was killed must not keep us waiting: the stream is
  // destroyed with the process, which ends the loop with an error.
  try {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }))
      onLine(line)
  } catch {
    /* What was read is kept. */
  }
}

/** Ends a program that was silent for too long or is not wanted any more. */
class Watch {
  ended: 'silent' | 'aborted' | undefined
  readonly #child: { kill(signal: NodeJS.Signals): boolean }
  readonly #options: RunOptions
  #silence: NodeJS.Timeout | undefined
  #kill: NodeJS.Timeout | undefined
  readonly #onAbort = () => this.#end('aborted')

  constructor(child: { kill(signal: NodeJS.Signals): boolean }, options: RunOptions) {
    this.#child = child
    this.#options = options
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal?.aborted) this.#onAbort()
    if (options.silenceMs !== undefined)
      this.#silence = setTimeout(() => this.#end('silent'), options.silenceMs)
  }

  alive(): void {
    this.#silence?.refresh()
  }

  stop(): void {
    clearTimeout(this.#silence)
    clearTimeout(this.#kill)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }

  #end(why: 'silent' | 'aborted'): void {
    if (this.ended) return
    this.ended = why
    this.#child.kill('SIGTERM')
    this.#kill = setTimeout(() => this.#child.kill('SIGKILL'), KILL_AFTER_MS)
  }
}
