// A Debian with systemd and nix-daemon, in the user's cache, to be booted by the tests in test/systemd and test/deb. It
// comes from the archive in the machine's own apt configuration, so no host name has to be written down here.
// Plain JavaScript: `.ci/prepare.mjs` loads it on whatever Node the machine has.

import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { debianMirror } from './debian-packages.mjs'

const exec = promisify(execFile)

/** Debian 12 and 13: systemd 252 and 257, Nix 2.8 and 2.26. */
export const SUITES = ['bookworm', 'trixie']
const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'dbus', 'nix-bin', 'nix-setup-systemd'],
  ...['openssh-client', 'openssh-server', 'nginx'],
]
/** Most tests need none of these. One that does starts it. */
const NOT_STARTED = ['ssh', 'nginx']
const NOT_NEEDED = ['doc', 'man', 'locale', 'info']

/**
 * Makes sure that the root is in the cache; takes about a minute when it isn't.
 * @param {string} [suite] one of SUITES
 * @param {(line: string) => void} [say] told in one line that it has to be fetched
 * @returns {Promise<string>} its directory
 */
export async function ensureMachineRoot(suite = 'trixie', say = () => {}) {
  if (process.getuid?.() !== 0)
    throw new Error('The tests in test/systemd and test/deb boot a machine, which takes root.')
  const set = process.env.XDG_CACHE_HOME
  const cache = join(set && isAbsolute(set) ? set : join(homedir(), '.cache'), 'nix-upload', 'systemd')
  const home = join(cache, `${suite}-3`)
  if (fs.existsSync(home)) return home
  say(`fetching a Debian ${suite} with systemd into ${home}`)
  fs.mkdirSync(cache, { recursive: true })
  // Beside its final place: only a rename makes it appear, so an interrupted run leaves no half of one.
  const work = fs.mkdtempSync(join(cache, `.${suite}-`))
  try {
    const { uri, options } = debianMirror()
    const root = join(work, 'root')
    const args = [
      '--mode=root',
      '--format=directory',
      '--variant=minbase',
      `--include=${PACKAGES.join(',')}`,
      ...NOT_NEEDED.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
      suite,
      root,
      `deb ${options} ${uri} ${suite} main`,
    ]
    await exec('mmdebstrap', args, { maxBuffer: 1 << 26 })
    // Each machine makes its own, and a systemd that finds one isn't booted for the first time.
    fs.writeFileSync(join(root, 'etc/machine-id'), '')
    for (const name of NOT_STARTED)
      fs.rmSync(join(root, `etc/systemd/system/multi-user.target.wants/${name}.service`))
    try {
      fs.renameSync(root, home)
    } catch (error) {
      if (!fs.existsSync(home)) throw error
    }
  } catch (error) {
    const why = String(error.stderr || error.message)
      .trim()
      .split('\n')
      .slice(-10)
      .join('\n')
    throw new Error(`A Debian ${suite} to boot could not be made in ${home}: ${why}`)
  } finally {
    fs.rmSync(work, { recursive: true, force: true })
  }
  return home
}
