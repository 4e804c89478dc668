// Makes ready what `npm start` and `npm test` need, and only what is missing; silent when all is there.
// Runs before anything is installed, so: plain JavaScript, nothing but Node 18 or newer.
//
//     node .ci/prepare.mjs nix      the dependencies, dist/ and a Nix on PATH
//     node .ci/prepare.mjs tests    the dependencies, dist/, the packages below and three releases of Nix

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages } from './packages.mjs'

/** What the tests run, by the Debian package that has it. dpkg-deb and apt-get are part of any Debian. */
const TEST_PACKAGES = {
  shellcheck: 'shellcheck',
  strace: 'strace',
  patchelf: 'patchelf',
  'nginx-light': 'nginx',
  curl: 'curl',
  'apache2-bin': 'apache2',
  lighttpd: 'lighttpd',
  // A module, which is no program.
  'lighttpd-mod-webdav': '../lib/lighttpd/mod_webdav.so',
  caddy: 'caddy',
  tinyproxy: 'tinyproxy',
  microsocks: 'microsocks',
  'openssh-server': 'sshd',
  dash: 'dash',
  busybox: 'busybox',
  mksh: 'mksh',
  'ksh93u+m': 'ksh93',
  'rust-coreutils': 'coreutils',
  'systemd-container': 'systemd-nspawn',
  mmdebstrap: 'mmdebstrap',
  prometheus: 'promtool',
  mandoc: 'mandoc',
  zsh: 'zsh',
  'ceph-mon': 'ceph-mon',
  'ceph-osd': 'ceph-osd',
  radosgw: 'radosgw',
  faketime: 'faketime',
  xfsprogs: 'mkfs.xfs',
  'btrfs-progs': 'mkfs.btrfs',
}

const NIX_PLACES = [
  '/nix/var/nix/profiles/default/bin',
  '/run/current-system/sw/bin',
  join(homedir(), '.nix-profile/bin'),
]
const SYSTEM_PLACES = ['/usr/local/sbin', '/usr/sbin', '/sbin']

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

try {
  const [mode] = process.argv.slice(2)
  if (mode !== 'nix' && mode !== 'tests') throw new Error('Usage: node .ci/prepare.mjs nix|tests')
  installDependencies()
  build({ mustSucceed: mode === 'nix' })
  if (mode === 'nix') provideNix()
  if (mode === 'tests') await provideTestTools()
} catch (error) {
  console.error(`prepare: ${error.message}`)
  process.exit(1)
}

/** `npm ci`, unless what is in node_modules came from this package-lock.json. */
function installDependencies() {
  const lock = join(root, 'package-lock.json')
  const mark = join(root, 'node_modules/.nix-upload-lock')
  const hash = createHash('sha256').update(readFileSync(lock)).digest('hex')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === hash) return
  // npm writes its own note last, after the lock file: where it is the newer one, `npm install` was just here.
  const note = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(note) || modified(note) < modified(lock)) {
    say('installing the dependencies (npm ci)')
    // The Node of node_modules must not be the one that runs npm, because npm ci begins by removing it.
    const path = (process.env.PATH ?? '').split(delimiter).filter((dir) => !dir.startsWith(root))
    const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
    const env = { ...process.env, PATH: path.join(delimiter) }
    const { status, error } = spawnSync('npm', args, { cwd: root, env, stdio: ['ignore', 2, 2] })
    if (status !== 0) {
      const why = error ? error.message : 'npm says why above'
      throw new Error(`The dependencies could not be installed: ${why}. Is the npm registry reachable?`)
    }
  }
  writeFileSync(mark, hash)
}

/** Compiles src/ to dist/, unless nothing in src/ is newer than the last time that succeeded. */
function build({ mustSucceed }) {
  const mark = join(root, 'dist/.built')
  const inputs = ['src', 'tsconfig.json', 'tsconfig.build.json'].map((name) => join(root, name))
  const sources = filesBelow(join(root, 'src'))
  if (!sources.some((file) => file.endsWith('.ts'))) return
  const newest = Math.max(...[...inputs, ...sources].map(modified))
  if (existsSync(mark) && modified(mark) >= newest) return
  say('compiling src/ to dist/')
  // Beside dist/ and then in its place, so that no file stays there whose source is gone.
  const made = join(root, `node_modules/.dist-${process.pid}`)
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const args = [tsc, '--project', join(root, 'tsconfig.build.json'), '--outDir', made]
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] })
  // The tests check the types as a step of their own and count it, so there is no need to stop here.
  if (status !== 0 && mustSucceed) throw new Error('src/ does not compile: tsc says why above.')
  if (status === 0) writeFileSync(join(made, '.built'), '')
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  renameSync(made, join(root, 'dist'))
}

/** A Nix on this machine, from wherever it may be; Debian's package where there is none. */
function provideNix() {
  if (find('nix', NIX_PLACES)) return
  const advice =
    'Nix is needed, and there is none here. Get it from https://nixos.org/download, or as the package nix-bin ' +
    'on Debian and Ubuntu, then run this again.'
  installPackages(['nix-bin'], { say, advice })
  if (!find('nix', NIX_PLACES)) throw new Error(advice)
}

/** The programs that tests run, and the releases of Nix they run with. */
async function provideTestTools() {
  const missing = Object.entries(TEST_PACKAGES).filter(([, command]) => !find(command, SYSTEM_PLACES))
  if (missing.length > 0) {
    const commands = missing.map(([, command]) => command).join(', ')
    const advice = `The tests run these programs, which are not here: ${commands}.`
    installPackages(
      missing.map(([name]) => name),
      { say, advice },
    )
  }
  const { ensureNixVersions } = await import('../test/support/nix-versions.mjs')
  // Without a release the tests that need it fail, and say why; the others are worth running.
  await ensureNixVersions(say).catch((error) => say(error.message))
  // The same goes for the machines that test/systemd and test/deb boot.
  const { ensureMachineRoot, SUITES } = await import('../test/support/machine-root.mjs')
  for (const suite of SUITES) await ensureMachineRoot(suite, say).catch((error) => say(error.message))
}

function find(command, places) {
  const dirs = [...(process.env.PATH ?? '').split(delimiter), ...places]
  return dirs.some((dir) => dir !== '' && existsSync(join(dir, command)))
}

/** Everything below a directory, directories too: theirs is the time at which a file was removed. */
function filesBelow(dir) {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    return entry.isDirectory() ? [path, ...filesBelow(path)] : [path]
  })
}

function modified(path) {
  // A file may vanish while someone edits; what isn't there is not newer.
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function say(line) {
  console.error(`prepare: ${line}`)
}
