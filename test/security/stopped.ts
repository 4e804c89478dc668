// Runs a program and stops it behind a certain system call, as the scheduler may at any time, for somebody else to do
// something meanwhile. strace stops it (SIGSTOP) at the nth call of a kind.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { descendantsOf } from '../integration/daemon.ts'

export interface Stopped {
  stdout: string
  stderr: string
  exitCode: number | null
  /** What strace wrote. */
  trace: string
  /** Whether it came to that call. */
  isHit: boolean
}

/**
 * @param command A program that is run under strace or starts one, which writes to `log` and stops what it traces.
 * @param meanwhile Done once, while it is stopped.
 */
export async function runStopped(
  command: readonly string[],
  env: Record<string, string>,
  log: string,
  meanwhile: () => void,
): Promise<Stopped> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { env, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  const out = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => (out.stdout += String(data)))
  child.stderr.on('data', (data) => (out.stderr += String(data)))
  const closed = once(child, 'close')
  let isOver = false
  void closed.then(() => (isOver = true))
  const trace = () => (existsSync(log) ? readFileSync(log, 'utf8') : '')
  let isHit = false
  while (!isOver) {
    if (trace().includes('--- stopped by SIGSTOP ---')) {
      if (!isHit) meanwhile()
      isHit = true
      for (const pid of descendantsOf(child.pid ?? -1)) goOn(pid)
    }
    await sleep(isHit ? 20 : 2)
  }
  await closed
  return { ...out, exitCode: child.exitCode, trace: trace(), isHit }
}

function goOn(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT')
  } catch {
    // It has ended.
  }
}
