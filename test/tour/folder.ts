// The tour's folder: a Nix of its own, a key, and room for the spool and the cache. Nothing outside it is changed.

import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { type NixVersion, releaseAt } from '../support/nix-versions.mjs'
import { PrivateNix } from '../support/private-nix.ts'
import { must } from '../support/run.ts'
import { emptyDirectory, SETTINGS, SETTINGS_TITLE } from './empty-directory.ts'

export const CHECKOUT = join(import.meta.dirname, '../..')

const BIN = join(CHECKOUT, 'bin')
/** Where Nix is where it is not on PATH. */
const NIX_PLACES = [
  '/nix/var/nix/profiles/default/bin',
  '/run/current-system/sw/bin',
  join(homedir(), '.nix-profile/bin'),
]

export class Folder {
  readonly dir: string
  /** A Nix with a store, database, configuration and home of its own. */
  readonly nix: PrivateNix
  readonly spool: string
  /** Where uploads go when nobody says where: beside the spool. */
  readonly cache: string
  readonly gcroots: string
  readonly secretKey: string
  readonly log: string
  /** All that the tour's programs get to see of their environment. */
  readonly env: Record<string, string>

  constructor(dir: string, version: NixVersion) {
    this.dir = dir
    this.nix = new PrivateNix(version, join(dir, 'nix'))
    this.spool = join(dir, 'spool')
    this.cache = join(dir, 'spool-cache')
    this.gcroots = join(this.nix.gcrootsDir, 'nix-upload')
    this.secretKey = join(dir, 'key.secret')
    this.log = join(dir, 'daemon.log')
    this.env = {
      ...this.nix.env,
      // This Node before the machine's, which may lie where Nix does and be too old.
      PATH: [BIN, dirname(process.execPath), this.nix.env.PATH].join(delimiter),
      NIX_UPLOAD_SPOOL: this.spool,
      NIX_UPLOAD_GCROOTS: this.gcroots,
      // There may be a configuration on this machine, which is not the tour's.
      NIX_UPLOAD_CONFIG: '/dev/null',
    }
  }

  get publicKey(): string {
    return readFileSync(join(this.dir, 'key.public'), 'utf8').trim()
  }

  /** A path as a person in the checkout types it. */
  readonly short = (path: string): string =>
    path.startsWith(`${CHECKOUT}/`) ? path.slice(CHECKOUT.length + 1) : path
}

/**
 * Makes the folder, in the place of an earlier tour's.
 * @param asked Where; `tour` in the checkout by default.
 */
export async function makeFolder(asked = join(CHECKOUT, 'tour')): Promise<Folder> {
  const bin = findNix()
  const dir = await emptyDirectory(resolve(asked))
  const folder = new Folder(dir, await releaseAt(bin))
  writeFileSync(join(dir, SETTINGS), settings(folder))
  for (const path of [folder.nix.dir, folder.nix.confDir, folder.nix.env.HOME]) mkdirSync(path)
  writeFileSync(join(folder.nix.confDir, 'nix.conf'), nixConf(bin))
  must(await folder.nix.run('nix-store', ['--init']), 'make an empty store')
  const keys = [folder.secretKey, join(dir, 'key.public')]
  must(await folder.nix.run('nix-store', ['--generate-binary-cache-key', 'tour-1', ...keys]), 'make a key')
  return folder
}

function findNix(): string {
  const places = [...(process.env.PATH ?? '').split(delimiter), ...NIX_PLACES]
  const bin = places.find((dir) => dir.startsWith('/') && existsSync(join(dir, 'nix-build')))
  if (bin === undefined) throw new Error('There is no nix-build on PATH; https://nixos.org/download has it.')
  return bin
}

function nixConf(bin: string): string {
  const lines = [
    `post-build-hook = ${join(BIN, 'nix-upload-hook')}`,
    'experimental-features = nix-command',
    'substituters =',
    'build-users-group =',
    'sandbox = false',
  ]
  // Nix 2.8 runs it before every build and looks for it where Nix was meant to be installed; in a Nix that was
  // unpacked elsewhere it is beside the programs.
  const buildRemote = join(dirname(realpathSync(join(bin, 'nix'))), '../libexec/nix/build-remote')
  if (existsSync(buildRemote)) lines.push(`build-hook = ${buildRemote}`)
  return `${lines.join('\n')}\n`
}

/** What a shell needs for going on by hand where the tour ends. */
function settings({ env, dir, nix }: Folder): string {
  const names = Object.keys(env).filter((name) => name.startsWith('NIX_') || name.startsWith('XDG_'))
  const path = [BIN, dirname(process.execPath), nix.version.bin].join(delimiter)
  return [
    SETTINGS_TITLE,
    `# In a shell of its own, type: . ${join(dir, SETTINGS)}`,
    '# Whatever is set of Nix and of nix-upload is about another one.',
    `for name in $(env | sed -n 's/^\\(NIX_[A-Za-z0-9_]*\\)=.*/\\1/p'); do unset "$name"; done`,
    `export PATH='${path}':"$PATH"`,
    ...names.map((name) => `export ${name}='${env[name]}'`),
    '',
  ].join('\n')
}
