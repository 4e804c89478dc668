// A private Nix as a machine of several users has it: nix-daemon runs as root, and ordinary users talk to it.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../integration/daemon.ts'
import type { PrivateNix } from './private-nix.ts'

/** Whom Debian gives these numbers to. */
const [NOBODY, NOGROUP] = [65534, 65534]
/** He may look everywhere, since the Nix of the tests may lie in root's home, and may write nowhere but in his own. */
const CAPABILITIES = '-all,+dac_read_search'

/** An ordinary user of a machine with nix-daemon. */
export interface Client {
  /** To start a program with as that user. */
  as: string[]
  /** What that user has in the environment. */
  env: Record<string, string>
  /** A directory of that user's. */
  home: string
  /** Ends nix-daemon. */
  stop(): Promise<void>
}

/**
 * Starts nix-daemon for a private Nix; the test has to be root.
 * @param env Added to its environment, which is that of the hooks.
 */
export async function startNixDaemon(nix: PrivateNix, env: Record<string, string> = {}): Promise<Client> {
  if (process.getuid?.() !== 0) throw new Error('A nix-daemon for other users takes root.')
  const daemon = spawn('nix-daemon', [], { env: { ...nix.env, ...env }, stdio: 'ignore' })
  const isUp = () => existsSync(join(nix.stateDir, 'daemon-socket/socket'))
  await until(isUp, 'the socket of nix-daemon')
  await chmod(nix.dir, 0o755)
  const home = join(nix.dir, 'nobody')
  await mkdir(home, { recursive: true })
  await chown(home, NOBODY, NOGROUP)
  return {
    as: [
      'setpriv',
      ...[`--reuid=${NOBODY}`, `--regid=${NOGROUP}`, '--clear-groups'],
      ...[`--inh-caps=${CAPABILITIES}`, `--ambient-caps=${CAPABILITIES}`, '--'],
    ],
    env: {
      NIX_REMOTE: 'daemon',
      HOME: home,
      XDG_CACHE_HOME: join(home, '.cache'),
      XDG_CONFIG_HOME: join(home, '.config'),
      TMPDIR: home,
    },
    home,
    stop: () => stop(daemon),
  }
}

async function stop(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
}
