// A private Nix as a machine of several users has it: nix-daemon runs as root, and ordinary users talk to it.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { appendFile, chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../integration/daemon.ts'
import type { PrivateNix } from './private-nix.ts'

/** Whom Debian gives these numbers to. */
const [NOBODY, NOGROUP] = [65534, 65534]
/** Two users that builds may run as. They are in no file of this machine's: nix-daemon alone is shown another one. */
const BUILD_USERS = [30_001, 30_002]
/** They may look everywhere, since the Nix of the tests may lie in root's home, and may write nowhere but in his own. */
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
 * @param within A command that runs the command behind it in other circumstances.
 */
export async function startNixDaemon(
  nix: PrivateNix,
  env: Record<string, string> = {},
  within: string[] = [],
): Promise<Client> {
  if (process.getuid?.() !== 0) throw new Error('A nix-daemon for other users takes root.')
  const [command = '', ...args] = [...within, 'nix-daemon']
  const daemon = spawn(command, args, { env: { ...nix.env, ...env }, stdio: 'ignore' })
  const isUp = () => existsSync(join(nix.stateDir, 'daemon-socket/socket'))
  await until(isUp, 'the socket of nix-daemon')
  await chmod(nix.dir, 0o755)
  const home = join(nix.dir, 'nobody')
  await mkdir(home, { recursive: true })
  await chown(home, NOBODY, NOGROUP)
  return {
    as: runAs(NOBODY, NOGROUP),
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

/** What to start a program with as an ordinary user, by number. */
export function runAs(user: number, group: number): string[] {
  const privileges = [`--inh-caps=${CAPABILITIES}`, `--ambient-caps=${CAPABILITIES}`]
  return ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups', ...privileges, '--']
}

/**
 * Has builds run as users of their own, as on a machine that Nix's installer was run on.
 * @returns What to start nix-daemon within.
 */
export async function withBuildUsers(nix: PrivateNix): Promise<string[]> {
  await appendFile(join(nix.confDir, 'nix.conf'), 'build-users-group = nixbld\n')
  const names = BUILD_USERS.map((_, at) => `nixbld${at + 1}`)
  const lines = {
    passwd: BUILD_USERS.map((id, at) => `${names[at]}:x:${id}:30000:builds:/var/empty:/usr/sbin/nologin`),
    group: [`nixbld:x:30000:${names.join(',')}`],
  }
  for (const [name, added] of Object.entries(lines)) {
    const text = await readFile(`/etc/${name}`, 'utf8')
    await writeFile(join(nix.dir, name), `${text.trimEnd()}\n${added.join('\n')}\n`)
  }
  const script = 'for f in passwd group; do mount --bind "$1/$f" /etc/$f || exit 1; done; shift; exec "$@"'
  return ['unshare', '-m', 'sh', '-c', script, 'sh', nix.dir]
}

async function stop(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
}
