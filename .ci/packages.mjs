// Installs packages of the distribution, where this machine lets us.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

// Debian starts the services it installs; nginx and sshd are for the tests, which start their own on ports of
// their own. A policy-rc.d that says 101 ("forbidden") keeps them from it for as long as this takes. It names
// its maker, so that one left behind by a killed run is known for what it is.
//
// The lists of packages are fetched only when an installation without that fails: they may be missing or stale.
const INSTALL = `
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ] || grep -q 'made by nix-upload' "$policy"; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' HUP INT TERM
  printf '#!/bin/sh\\n# made by nix-upload while it installs packages\\nexit 101\\n' > "$policy" || exit 1
  chmod 755 "$policy" || exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install() {
  apt-get -q --yes --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install "$@" < /dev/null
}
install "$@" && exit 0
apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update < /dev/null
install "$@"
`

/**
 * Installs packages with apt-get as root, or throws an Error that begins with `advice` and says what to type.
 * @param {string[]} names
 * @param {{say: (line: string) => void, advice: string}} options
 */
export function installPackages(names, { say, advice }) {
  const byHand = `apt-get install --no-install-recommends ${names.join(' ')}`
  if (!existsSync('/usr/bin/apt-get')) {
    throw new Error(`${advice}\nThis is no Debian or Ubuntu, where it would be: sudo ${byHand}`)
  }
  const become = asRoot()
  if (!become)
    throw new Error(
      `${advice}\nInstalling takes root, and sudo is not here or wants a password, so type: sudo ${byHand}`,
    )
  say(`installing ${names.join(' ')} (apt-get)`)
  const [command, ...args] = [...become, 'sh', '-c', INSTALL, 'sh', ...names]
  const { status, stdout, stderr, error } = spawnSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  if (status !== 0) {
    const tail = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-15).join('\n')
    throw new Error(`${advice}\n${byHand} failed: ${error?.message ?? ''}\n${tail}`)
  }
}

/** What to put before a command to run it as root; undefined where that would ask for a password. */
function asRoot() {
  if (process.getuid?.() === 0) return []
  const { status } = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' })
  return status === 0 ? ['sudo', '-n'] : undefined
}
