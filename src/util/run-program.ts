import { accessSync, constants } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { LineFile } from './line-file.ts'
import { own } from './own.ts'
import { codeOf } from './user-error.ts'
import { Watchdog } from './watchdog.ts'

/** How a program is run. */
export interface RunOptions {
  /** Added to this process's environment. */
  env?: Readonly<Record<string, string>>
  /** Ends the program: SIGTERM to its whole process group, SIGKILL five seconds later. */
  signal?: AbortSignal
  /** The program is ended after this time without output or I/O. */
  silenceMs?: number
  /** Called with each line the program writes to stderr. */
  onLine?: (line: string) => void
  /** Lines of stderr that are not kept for the result, such as progress: they would push out the important ones. */
  isNoise?: (line: string) => boolean
  /** It may write thousands of lines to stderr, and reading them a tenth of a second later is soon enough. */
  isTalkative?: boolean
  /** At most this many bytes of stdout are read. */
  stdoutMax?: number
  /** Written to the program's stdin, which is empty otherwise. */
  input?: string
}

/** How a program ended. */
export interface RunResult {
  /** Undefined if a signal ended it. */
  exitCode: number | undefined
  stdout: string
  /** The last lines that it wrote to stderr, without noise. */
  lines: string[]
  /** Why we ended it, if we did. */
  ended?: 'silent' | 'aborted'
}

/** The program could not be started at all. */
export class NotStartedError extends Error {
  override name = 'NotStartedError'
  /** What a person can do about it. */
  readonly remedy: string

  /** @param cause What the system said. */
  constructor(program: string, cause: unknown) {
    const code = codeOf(cause) ?? ''
    const said = cause instanceof Error ? cause.message : String(cause)
    super(
      code === 'ENOENT'
        ? `there is no program "${program}" on PATH`
        : `"${program}" could not be started: ${said}`,
      { cause },
    )
    this.remedy = own(REMEDIES, code) ?? 'install it, or put its directory on the PATH'
  }
}

const NO_HANDLES = 'no file handles are left: raise their limit if it stays so (ulimit -n, LimitNOFILE=)'
/** By the system's code, if the program may well be there. */
const REMEDIES: Readonly<Record<string, string>> = {
  EMFILE: NO_HANDLES,
  ENFILE: NO_HANDLES,
  EAGAIN:
    'no more processes are permitted: raise their limit if it stays so (ulimit -u, LimitNPROC=, TasksMax=)',
  ENOMEM: 'this machine has too little memory for it',
  EACCES:
    'let this user execute it (chmod), also through the directories above it, and see whether noexec is set for its filesystem',
}

/** How long the output may stay open after the program has ended: a process that it left behind may hold it open for ever. */
const LET_GO_AFTER_MS = 1_000
/** This many of the last lines of stderr are kept. */
const LINES_KEPT = 200
/** We read only lists of store paths from Nix's stdout, and these are smaller. */
const STDOUT_MAX = 16 << 20

/**
 * Runs a program in its own process group. So a Ctrl-C that is meant for us doesn't reach it, and the programs that it starts
 * (ssh) end with it.
 * @throws {NotStartedError} if it isn't there or isn't executable.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const lines: string[] = []
  const onLine = (line: string) => {
    life.seen()
    options.onLine?.(line)
    if (options.isNoise?.(line)) return
    keepLast(lines, line)
  }
  // Loading it takes half of the start of `nix-upload status`, which runs no program.
  const { execa } = await import('execa')
  const file = options.isTalkative ? new LineFile(onLine) : undefined
  const child = execa(program, args, {
    cwd: workingDirectory(),
    env: { ...options.env },
    killDescendants: true,
    reject: false,
    buffer: { stdout: true, stderr: false },
    maxBuffer: { stdout: options.stdoutMax ?? STDOUT_MAX },
    stripFinalNewline: false,
    stderr: file?.stream ?? 'pipe',
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
  })
  const life = new Watchdog(child, options.signal, options.silenceMs)
  child.nodeChildProcess.once('exit', () => letGo(child))
  const reading = child.stderr && readLines(child.stderr, onLine)
  try {
    const [result] = await Promise.all([child, reading])
    await life.left()
    if (result.failed && result.exitCode === undefined && result.signal === undefined && !life.ended) {
      throw new NotStartedError(program, result.cause ?? result)
    }
    const stdout = typeof result.stdout === 'string' ? result.stdout : ''
    return { exitCode: result.exitCode, stdout, lines, ...(life.ended ? { ended: life.ended } : {}) }
  } finally {
    life.stop()
    // Adds its last words to `lines`.
    file?.end()
  }
}

/** Our working directory, or `/` if it is gone or may not be entered: `runuser` starts a daemon in root's home. */
export function workingDirectory(): string {
  try {
    const own = process.cwd()
    accessSync(own, constants.X_OK)
    return own
  } catch {
    return '/'
  }
}

/** Closes the output soon: an ssh that stays (ControlPersist) inherits stderr and keeps it open. */
export function letGo({ stdout, stderr }: { stdout: Readable; stderr: Readable | null }): void {
  const timer = setTimeout(() => {
    stdout.destroy()
    stderr?.destroy()
  }, LET_GO_AFTER_MS)
  timer.unref()
}

/** Adds a line, and keeps only the last lines. */
export function keepLast(lines: string[], line: string): void {
  lines.push(line)
  if (lines.length > LINES_KEPT) lines.shift()
}

/** Resolves at the end of a stream, also if it fails or was closed; the lines read so far are kept. */
export function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const reader = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })
  reader.on('line', onLine)
  const ended = new Promise<void>((resolve) => reader.once('close', resolve))
  stream.once('close', () => reader.close()).once('error', () => reader.close())
  return ended
}
