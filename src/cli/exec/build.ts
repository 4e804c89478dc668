import type { Config } from '../../config/config.ts'
import { EmbeddedDaemon } from '../../daemon/embedded-daemon.ts'
import { NixFailure } from '../../nix/failure.ts'
import { ignoresHook, withHook } from '../../nix/hook-setting.ts'
import { NotStartedError } from '../../util/run-program.ts'
import { EXIT, UserError, wordsOf } from '../../util/user-error.ts'
import { userName } from '../../util/user-name.ts'
import { counted, say } from '../print.ts'
import { runCommand } from './child.ts'
import type { EarlySignals } from './early-signals.ts'
import { sayFailures, sayResult } from './outcome.ts'
import { Progress, wordyLog } from './progress.ts'
import type { Workspace } from './workspace.ts'

/** Signals that stop the uploads, after the command has ended. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Runs a command with our hook and delivers what it builds.
 * @param until `lingerMs`: how long to stay after it while a job must wait; `early`: signals before its start.
 * @returns The exit code.
 * @throws {UserError} if Nix would ignore the hook, or a signal came before; then the command is not started.
 */
export async function build(
  command: readonly string[],
  config: Config,
  workspace: Workspace,
  { lingerMs, early }: { lingerMs: number; early: EarlySignals },
): Promise<number> {
  // On a terminal, Ctrl-C also ends the question to Nix. Then that is reported, and not a failure of Nix.
  const nixConfig = await hookedConfig(workspace).finally(() => early.throwIfAny())
  const { spool, gcroots } = workspace
  const daemon = await EmbeddedDaemon.start({ ...config, others: [], spool: spool.root, gcroots }, wordyLog())
  const progress = new Progress(daemon, spool)
  try {
    const env = { NIX_CONFIG: nixConfig, NIX_UPLOAD_SPOOL: spool.root, NIX_UPLOAD_GCROOTS: gcroots }
    early.throwIfAny()
    const status = await runCommand(command, env)
    if (progress.left > 0) {
      say(`nix-upload: the command has ended with ${status}; ${counted(progress.left, 'upload')} left`)
    }
    // If a signal ended the command, there is no wait for a destination that is down.
    return await deliverRest(daemon, workspace, status, status > 128 ? 0 : lingerMs)
  } finally {
    progress.stop()
    daemon.abort()
  }
}

/** @returns The command's exit status. If it is 0 and something was not uploaded, another one. */
async function deliverRest(
  daemon: EmbeddedDaemon,
  workspace: Workspace,
  status: number,
  lingerMs: number,
): Promise<number> {
  const forget = onSignals(daemon)
  try {
    const { done, failed, isWaiting } = await daemon.finish(lingerMs)
    sayResult(workspace, { status, done, failed })
    if (failed > 0) sayFailures(workspace)
    if (status !== 0) return status
    if (failed > 0) return EXIT.failed
    return isWaiting ? EXIT.tryLater : EXIT.done
  } catch (error) {
    if (status === 0) throw error
    say(`nix-upload: the uploads were ended by an error: ${wordsOf(error)}`)
    return status
  } finally {
    forget()
  }
}

/** @throws {UserError} if Nix would silently ignore our hook, so that nothing would be uploaded. */
async function hookedConfig({ hook }: Workspace): Promise<string> {
  const nixConfig = withHook(hook, process.env.NIX_CONFIG)
  const isIgnored = await ignoresHook(nixConfig).catch((error: unknown) => {
    if (!(error instanceof NixFailure || error instanceof NotStartedError)) throw error
    throw new UserError(
      `nothing was started, since Nix can't be asked whether it runs our hook: ${error.message}`,
    )
  })
  if (!isIgnored) return nixConfig
  const user = userName()
  throw new UserError(
    `nothing was started, since nix-daemon ignores a post-build-hook of ${user}, and nothing would be uploaded. Either ` +
      `root adds "extra-trusted-users = ${user}" to /etc/nix/nix.conf and restarts nix-daemon (trusted users can become ` +
      `root), or root sets up the hook for all users: nix-upload init --install`,
    EXIT.badConfig,
  )
}

/** The first signal lets running uploads finish, the second one ends them. Unfinished jobs are kept. */
function onSignals(daemon: EmbeddedDaemon): () => void {
  let signals = 0
  const stop = () => {
    signals++
    if (signals === 1) say('nix-upload: stopping; running uploads may finish')
    if (signals === 1) daemon.stop()
    else daemon.abort()
  }
  for (const signal of STOP_SIGNALS) process.on(signal, stop)
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, stop)
  }
}
