import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { codeOf, UserError, wordsOf } from '../../util/user-error.ts'

/** Exit codes, as in a shell: the command can't be found, or can't be run. */
const NOT_FOUND = 127
const NOT_EXECUTABLE = 126

/** Signals that a terminal sends to all foreground processes, so the command gets them too. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']
const PASSED_ON = ['SIGTERM', 'SIGHUP', ...FROM_TERMINAL] as const

/**
 * Runs a command on our own stdin, stdout and stderr, and passes signals on to it while it runs. Later ones go to
 * `onSignal`.
 * @returns Its exit status. If a signal ended it, 128 plus the signal's number, as in a shell.
 * @throws {UserError} if it could not be started.
 */
export async function runCommand(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, ...env } })
  // A signal that came just before the start of the command arrives here only now, and no terminal has sent it to the command.
  let isEarly = true
  afterNextPoll(() => {
    isEarly = false
  })
  const pass = (signal: NodeJS.Signals) => {
    if (process.stdin.isTTY && FROM_TERMINAL.includes(signal) && !isEarly) return
    child.kill(signal)
  }
  for (const signal of PASSED_ON) process.on(signal, pass)
  try {
    return await exitOf(child)
  } catch (error) {
    const isMissing = codeOf(error) === 'ENOENT'
    const why = isMissing ? 'there is no such program' : wordsOf(error)
    throw new UserError(`${program} could not be started: ${why}`, isMissing ? NOT_FOUND : NOT_EXECUTABLE)
  } finally {
    for (const signal of PASSED_ON) process.off(signal, pass)
  }
}

/** Calls back after the event loop has looked for signals: after the next whole turn. */
function afterNextPoll(act: () => void): void {
  setImmediate(() => setImmediate(act))
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
}
