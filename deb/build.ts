// `npm run deb`: a package for Debian, with a Node of its own. It takes dpkg-deb and what `npm ci` and
// `npm run build` left; the same sources make the same file, byte for byte.
//
//     node deb/build.ts [--out DIR] [--version VERSION]

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { programFiles } from './program-files.ts'

const PROJECT = resolve(import.meta.dirname, '..')
const HOME = 'usr/lib/nix-upload'
/** Debian's names of what Node calls x64 and arm64. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }
/** A tenth larger than at level 19, and made in seconds. Debian's dpkg reads it from Debian 12 on. */
const COMPRESSION = ['-Zzstd', '-z3', '--threads-max=1']

const LAUNCHER = `#!/bin/sh
exec /${HOME}/bin/node /${HOME}/bin/nix-upload "$@"
`

const { values } = parseArgs({ options: { out: { type: 'string' }, version: { type: 'string' } } })
const manifest = readFileSync(join(PROJECT, 'package.json'), 'utf8')
const version = values.version ?? /"version": "(.+)"/.exec(manifest)?.[1] ?? '0'
const architecture = ARCHITECTURES[process.arch] ?? process.arch
const time = epoch()
const root = mkdtempSync(join(tmpdir(), 'nix-upload-deb-'))
const put = (path: string, content: string | Buffer, mode = 0o644) => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
  chmodSync(join(root, path), mode)
}
const read = (path: string) => readFileSync(join(PROJECT, path), 'utf8')
const compressed = (text: string) => gzipSync(text, { level: 9 })

try {
  for (const [from, to] of programFiles(PROJECT)) put(join(HOME, to), readFileSync(from), modeOf(from))
  put(`${HOME}/package.json`, manifest.replace(/"version": ".+"/, `"version": "${version}"`))
  cpSync(join(PROJECT, 'node_modules/node/bin/node'), join(root, HOME, 'bin/node'))
  put('usr/bin/nix-upload', LAUNCHER, 0o755)
  put('usr/bin/nix-upload-hook', read('bin/nix-upload-hook'), 0o755)
  for (const unit of readdirSync(join(PROJECT, 'systemd')).filter((name) =>
    /\.(service|path|timer)$/.test(name),
  )) {
    put(`usr/lib/systemd/system/${unit}`, read(`systemd/${unit}`))
  }
  put('usr/lib/sysusers.d/nix-upload.conf', read('systemd/nix-upload.sysusers'))
  put('usr/lib/tmpfiles.d/nix-upload.conf', read('systemd/nix-upload.tmpfiles'))
  for (const name of readdirSync(join(PROJECT, 'man'))) {
    const [, section] = /\.([158])$/.exec(name) ?? []
    if (section !== undefined) put(`usr/share/man/man${section}/${name}.gz`, compressed(read(`man/${name}`)))
  }
  put('usr/share/bash-completion/completions/nix-upload', completion('bash'))
  put('usr/share/zsh/vendor-completions/_nix-upload', completion('zsh'))
  put('usr/share/fish/vendor_completions.d/nix-upload.fish', completion('fish'))
  for (const name of readdirSync(join(PROJECT, 'docs')).filter((name) => name.endsWith('.md'))) {
    put(`usr/share/doc/nix-upload/docs/${name}`, read(`docs/${name}`))
  }
  put('usr/share/doc/nix-upload/README.md', read('README.md'))
  put('usr/share/doc/nix-upload/changelog.gz', compressed(read('CHANGELOG.md')))
  put('usr/share/doc/nix-upload/copyright', `${read('LICENSE')}\n${read('deb/node.copyright')}`)
  put(
    'DEBIAN/control',
    read('deb/control')
      .replace('@VERSION@', debianVersion())
      .replace('@ARCHITECTURE@', architecture)
      .replace('@SIZE@', installedSize()),
  )
  for (const script of ['postinst', 'prerm', 'postrm']) put(`DEBIAN/${script}`, read(`deb/${script}`), 0o755)
  settle(root)
  const file = join(resolve(values.out ?? PROJECT), `nix-upload_${debianVersion()}_${architecture}.deb`)
  const env = { ...process.env, SOURCE_DATE_EPOCH: `${time}` }
  execFileSync('dpkg-deb', ['--root-owner-group', ...COMPRESSION, '--build', root, file], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  console.log(file)
} finally {
  rmSync(root, { recursive: true, force: true })
}

/** `1.0.0-rc.1` comes before `1.0.0`, which Debian writes `1.0.0~rc.1`. */
function debianVersion(): string {
  return version.replaceAll('-', '~')
}

/** The time that all files get, in seconds: that of the last commit or, outside of a checkout, of the change log, unless told. */
function epoch(): number {
  const told = process.env.SOURCE_DATE_EPOCH
  if (told) return Number(told)
  const args = ['log', '-1', '--format=%ct']
  const { stdout, status } = spawnSync('git', args, { cwd: PROJECT, encoding: 'utf8' })
  return status === 0 ? Number(stdout) : Math.floor(lstatSync(join(PROJECT, 'CHANGELOG.md')).mtimeMs / 1000)
}

function completion(shell: string): Buffer {
  const env = { PATH: process.env.PATH, SHELL: `/bin/${shell}`, LC_ALL: 'C' }
  return execFileSync(process.execPath, [join(PROJECT, 'bin/nix-upload'), 'completion'], { env })
}

function modeOf(file: string): number {
  return lstatSync(file).mode & 0o100 ? 0o755 : 0o644
}

/** In KiB, as Debian counts: what a directory takes depends on the filesystem, so each counts as one. */
function installedSize(): string {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true })
  const sizes = entries.map((entry) =>
    entry.isFile() ? Math.ceil(lstatSync(join(entry.parentPath, entry.name)).size / 1024) : 1,
  )
  return `${sizes.reduce((sum, size) => sum + size, 0)}`
}

/** The same times and modes, whoever makes it. */
function settle(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) settle(path)
    else lutimesSync(path, time, time)
  }
  chmodSync(directory, 0o755)
  lutimesSync(directory, time, time)
}
