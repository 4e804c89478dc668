// A running `nix-upload watch` or `drain`, as a service manager would have it.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { COMPILED } from '../support/run.ts'

export class Daemon {
  /** What it wrote to stderr so far, line by line. */
  readonly log: string[] = []
  /** Its exit code; as a shell has it, 128 and the signal's number when one ended it. */
  readonly exited: Promise<number>
  readonly #child: ChildProcess

  constructor(command: string, args: string[], env: Record<string, string>) {
    this.#child = spawn(command, args, {
      env: { ...COMPILED, ...env },
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    if (this.#child.stderr) createInterface(this.#child.stderr).on('line', (line) => this.log.push(line))
    this.exited = new Promise((resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on('close', (code, signal) =>
        resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)),
      )
    })
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  /** Waits for a line of its log that has `text` in it. */
  async says(text: string, timeoutMs = 60_000): Promise<string> {
    const find = () => this.log.find((line) => line.includes(text))
    await until(() => find() !== undefined, `"${text}" in the log:\n${this.log.join('\n')}`, timeoutMs)
    return find() ?? ''
  }

  /** Sends a signal to it alone: what it started lives on. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Kills it and all that it started at one blow, as a service manager does. */
  killWithChildren(): void {
    for (const pid of [this.pid, ...descendantsOf(this.pid)]) signal(pid, 'SIGKILL')
  }

  /** Asks it to stop; returns its exit code. */
  stop(): Promise<number> {
    this.kill('SIGTERM')
    return this.exited
  }
}

/** The processes that a process started, and those that these started. */
export function descendantsOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    const children = text.split(' ').filter(Boolean).map(Number)
    return children.flatMap((child) => [child, ...descendantsOf(child)])
  } catch {
    return [] // It has ended.
  }
}

/** What programs processes run. */
export function namesOf(pids: number[]): string[] {
  return pids.flatMap((pid) => {
    try {
      return [readFileSync(`/proc/${pid}/comm`, 'utf8').trim()]
    } catch {
      return [] // It has ended.
    }
  })
}

/** True while there is such a process and it is not a zombie that nobody waited for yet. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended.
  }
}

/** Waits until something is so, and says what it was waiting for when that takes longer than even a busy machine may. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string | (() => string),
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const asked = performance.now()
    if (await isSo()) return
    const now = performance.now()
    if (now > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${typeof what === 'string' ? what : what()}`)
    }
    // Where a program has to be started to look, looking again at once would take the processor from what is waited for.
    await sleep(Math.max(10, 4 * (now - asked)))
  }
}
