// How tests run programs.

import { constants } from 'node:os'
import { execa } from 'execa'

/** How a program ended. */
export interface RunResult {
  stdout: string
  stderr: string
  /** As a shell has it: 128 and the signal's number when one ended it. */
  exitCode: number
}

export interface RunOptions {
  /** Added to the environment. */
  env?: Record<string, string>
  cwd?: string
  /** For its stdin, which is empty otherwise. */
  input?: string
  /** After so many milliseconds the program is killed and the test fails; 100 seconds by default. */
  timeout?: number
}

/** Where Node keeps compiled code from one start to the next: a third of what a short run of ours costs. */
const { NODE_COMPILE_CACHE } = process.env
export const COMPILED: Record<string, string> = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }

/** Runs a program with `env` for its whole environment, but for that. Throws only where it could not be run to its end. */
export async function runProgram(command: string, args: string[], options: RunOptions): Promise<RunResult> {
  const result = await execa(command, args, {
    env: { ...COMPILED, ...options.env },
    extendEnv: false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    timeout: options.timeout ?? 100_000,
    reject: false,
  })
  const signal = result.signal ? 128 + (constants.signals[result.signal] ?? 0) : undefined
  const exitCode = result.exitCode ?? signal
  if (result.timedOut || exitCode === undefined) {
    throw new Error(`${command} ${args.join(' ')} did not run to its end: ${result.shortMessage ?? ''}`)
  }
  return { stdout: result.stdout, stderr: result.stderr, exitCode }
}

/** Passes a result through, or throws in full words when the program failed. */
export function must(result: RunResult, todo: string): RunResult {
  if (result.exitCode === 0) return result
  throw new Error(`Could not ${todo} (exit ${result.exitCode}):\n${result.stderr || result.stdout}`)
}
