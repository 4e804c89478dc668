// Real releases of Nix beside each other. Three are taken from Debian's packages without installing one of them:
// downloaded with an apt root of their own, unpacked into the user's cache, and the one binary pointed at its
// own C library. What the host has is neither used nor changed. NIX_UPLOAD_TEST_NIX names others, such as Lix.
// Plain JavaScript: `.ci/prepare.mjs` loads it on whatever Node the machine has.

import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { downloadPackages } from './debian-packages.mjs'

const exec = promisify(execFile)

// Debian's releases were chosen for the Nix they carry: 2.8 (hooks get no OUT_PATHS), 2.26 and the newest.
const SUITES = ['bookworm', 'trixie', 'sid']

// The one binary goes by its name. Debian's package has the same links.
const COMMANDS =
  'build channel collect-garbage copy-closure daemon env hash instantiate prefetch-url shell store'.split(' ')

/**
 * Makes sure that every release is in the cache, fetching what is missing.
 * @param {(line: string) => void} [say] told in one line of each release that has to be fetched
 * @returns {Promise<{name: string, version: string, isLix: boolean, bin: string}[]>}
 */
export async function ensureNixVersions(say = () => {}) {
  const cache = join(cacheHome(), 'nix-upload', 'nix')
  const all = SUITES.map((suite) => ensure(suite, join(cache, suite), cache, say))
  // Wait for all before one's failure ends the program, or the others would leave their half behind.
  await Promise.allSettled(all)
  return Promise.all(all)
}

/** Whether the slow files (vitest.config.ts) and one Nix of three are left to CI: see .ci/test.mjs. */
export const IS_SHORT = process.env.NIX_UPLOAD_TEST_SHORT === '1'

/**
 * The releases that most tests run with: Debian's three, oldest first; in a short run without the one in the middle. Where
 * NIX_UPLOAD_TEST_ONLY names a version, that one alone. Fetches them if need be, and throws when one can't be had: a test that needs a release must fail then, not
 * be skipped.
 * @returns {Promise<{name: string, version: string, isLix: boolean, bin: string}[]>}
 */
export async function nixVersions() {
  return process.env.NIX_UPLOAD_TEST_ONLY ? everyNix() : fromDebian()
}

/**
 * Every release there is: those of `nixVersions`, then those in NIX_UPLOAD_TEST_NIX (directories with `nix` in
 * them, separated by colons), in that order. The tests that tell releases apart run with all of them.
 * @returns {Promise<{name: string, version: string, isLix: boolean, bin: string}[]>}
 */
export async function everyNix() {
  const { NIX_UPLOAD_TEST_NIX: more = '', NIX_UPLOAD_TEST_ONLY: only } = process.env
  const bins = more.split(delimiter).filter((bin) => bin !== '')
  const all = [
    ...(only ? await ensureNixVersions() : await fromDebian()),
    ...(await Promise.all(bins.map(releaseAt))),
  ]
  if (!only) return all
  const named = all.filter(({ version }) => version === only)
  if (named.length > 0) return named
  throw new Error(`NIX_UPLOAD_TEST_ONLY=${only}: there are ${all.map(({ version }) => version).join(', ')}`)
}

async function fromDebian() {
  const all = await ensureNixVersions()
  return IS_SHORT ? all.filter((_, at) => at === 0 || at === all.length - 1) : all
}

function cacheHome() {
  const set = process.env.XDG_CACHE_HOME
  return set && isAbsolute(set) ? set : join(homedir(), '.cache')
}

async function ensure(suite, home, cache, say) {
  const bin = join(home, 'bin')
  const cached = await releaseAt(bin).catch(() => undefined)
  if (cached) return cached
  say(`fetching Nix from Debian ${suite} into ${home}`)
  try {
    fs.mkdirSync(cache, { recursive: true })
    sweep(cache, suite)
    // Beside its final place: only a rename makes it appear, so an interrupted run leaves no half of one.
    const work = fs.mkdtempSync(join(cache, `.${suite}-`))
    try {
      const packages = await downloadPackages('nix-bin', suite, join(work, 'apt'))
      // Perl was for Nix's copying from other stores long ago; it would be a third of the size.
      const wanted = packages.filter(
        (file) => /\/(nix-bin|z?lib[^/]*)_[^/]*$/.test(file) && !/\/libperl|-perl_/.test(file),
      )
      await unpack(wanted, join(work, 'root'), join(work, 'made'), home)
      await replace(join(work, 'made'), home, work)
    } finally {
      fs.rmSync(work, { recursive: true, force: true })
    }
    return await releaseAt(bin)
  } catch (error) {
    throw new Error(
      `Nix from Debian ${suite} could not be prepared in ${home}: ${reason(error)}\n` +
        'The tests need it. Check that `apt-get update` works on this machine, then run them again.',
    )
  }
}

/**
 * Whether a release was built with a client of S3's: Debian's older ones and Lix's were not.
 * @param {{version: string, isLix: boolean}} nix
 */
export function hasS3({ version, isLix }) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return !isLix && (major > 2 || minor >= 33)
}

/**
 * The release whose programs are in a directory. It is asked of the binary and not of a list here, because sid moves on.
 * @returns {Promise<{name: string, version: string, isLix: boolean, bin: string}>}
 */
export async function releaseAt(bin) {
  const { stdout } = await exec(join(bin, 'nix'), ['--version'], { env: {} })
  // Lix has more lines, about the machine.
  const [, kind, version] = /^nix \((\w+).*\) (\d+\.\d+\S*)$/m.exec(stdout) ?? []
  if (!version) throw new Error(`${bin}/nix --version says "${stdout.trim()}"`)
  return { name: `${kind} ${version}`, version, isLix: kind === 'Lix', bin }
}

/** Takes the binary and the libraries out of the packages and makes `made` what is to be renamed to `home`. */
async function unpack(packages, root, made, home) {
  for (const dir of [root, ...['bin', 'lib', 'libexec/nix'].map((name) => join(made, name))])
    fs.mkdirSync(dir, { recursive: true })
  for (const file of packages) {
    await exec('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2"', 'sh', file, root])
  }
  for (const dir of ['usr/lib/nix', ...libraryDirectories(root)].map((name) => join(root, name))) {
    for (const name of fs.existsSync(dir) ? fs.readdirSync(dir) : []) {
      const isLibrary = name.includes('.so') && !fs.lstatSync(join(dir, name)).isDirectory()
      if (isLibrary) fs.renameSync(join(dir, name), join(made, 'lib', name))
    }
  }
  const nix = join(made, 'bin', 'nix')
  fs.renameSync(join(root, 'usr/bin/nix'), nix)
  const loader = fs.readdirSync(join(made, 'lib')).find((name) => name.startsWith('ld-linux'))
  if (!loader) throw new Error('the packages hold no dynamic loader')
  // An interpreter can't be relative, so the cache can't be moved. --force-rpath makes it hold for libraries too.
  // Where a library has a path of its own (2.8's have /usr/lib/nix) that one would win, and might find the host's Nix.
  for (const name of fs.readdirSync(join(made, 'lib')).filter((name) => name.startsWith('libnix'))) {
    await exec('patchelf', ['--remove-rpath', join(made, 'lib', name)])
  }
  const rpath = ['--force-rpath', '--set-rpath', '$ORIGIN/../lib']
  await exec('patchelf', ['--set-interpreter', join(home, 'lib', loader), ...rpath, nix])
  for (const name of COMMANDS) fs.symlinkSync('nix', join(made, 'bin', `nix-${name}`))
  // 2.8 runs this before every build; without `build-hook` in nix.conf it looks for it in /usr/libexec.
  fs.symlinkSync('../../bin/nix', join(made, 'libexec/nix/build-remote'))
}

/** `lib/x86_64-linux-gnu` and the like, below `/` (Debian 12) and `/usr`. */
function libraryDirectories(root) {
  return ['lib', 'usr/lib'].flatMap((lib) =>
    fs.existsSync(join(root, lib))
      ? fs
          .readdirSync(join(root, lib))
          .filter((name) => name.includes('-linux-'))
          .map((name) => join(lib, name))
      : [],
  )
}

/** Removes what an earlier run left when it was killed; one that is still at it is younger than an hour. */
function sweep(cache, suite) {
  for (const name of fs.readdirSync(cache).filter((name) => name.startsWith(`.${suite}-`))) {
    const path = join(cache, name)
    const age = Date.now() - (fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
    if (age > 3_600_000) fs.rmSync(path, { recursive: true, force: true })
  }
}

/** Puts what was made in its place, unless another test run was quicker: both made the same. */
async function replace(made, home, work) {
  const isThere = () => releaseAt(join(home, 'bin')).catch(() => undefined)
  if (await isThere()) return
  if (fs.existsSync(home)) fs.renameSync(home, join(work, 'damaged'))
  try {
    fs.renameSync(made, home)
  } catch (error) {
    if (!(await isThere())) throw error
  }
}

function reason(error) {
  if (error.code === 'ENOENT' && error.path) return `the command ${error.path} is not installed.`
  return String(error.stderr || error.message).trim()
}
