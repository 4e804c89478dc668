import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  lchownSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { makeKeyPair } from '../../nix/key-pair.ts'
import { replaceFile } from '../../util/replace-file.ts'
import { run } from '../../util/run-program.ts'
import { codeOf, UserError } from '../../util/user-error.ts'
import { findUser, type User } from '../user.ts'

/** A step of init. It does nothing if it was done already. */
export interface Step {
  /** What the step would do, with the content of files; or why it would do nothing. */
  preview(): string
  /** Does it. Returns a description of what was done. */
  perform(): Promise<string>
}

/** The place and the owner of new files. */
export interface Site {
  /** Prepended to every path; empty for this machine. Otherwise nothing is run, and all files stay ours. */
  root: string
}

/** Units and configurations are shorter; the hook is longer. */
const SHOWN_LINES = 150
const SHOWN_LINES_OF_LONG = 6

interface Place {
  path: string
  mode: number
  /** A user's name; without it, files stay ours. */
  owner?: string
}

/**
 * Makes a directory, and some inside it.
 * @param below Names of directories inside it.
 * @param isOurs An existing directory gets the owner too. A directory of others stays as it is.
 */
export function directory(site: Site, place: Place & { below?: readonly string[]; isOurs?: boolean }): Step {
  const { path, mode, owner, below = [], isOurs = false } = place
  const all = ['', ...below].map((name) => join(site.root, path, name))
  const isThere = () => all.every((real) => existsSync(real))
  const named = `${path}${below.length > 0 ? ` with ${below.join(', ')} in it` : ''}`
  return {
    preview: () =>
      isThere() ? `${named} exists already` : `would make ${placed({ path: named, mode, owner })}`,
    perform: async () => {
      const wasThere = isThere()
      for (const real of all) {
        const isNew = mkdirSync(real, { recursive: true }) !== undefined
        const uid = isNew || isOurs ? await ownerOf(site, real, owner) : undefined
        // In a directory of another user, any file may be a symlink. The directory itself may be a symlink of root's.
        const follow = real === all[0] ? 0 : constants.O_NOFOLLOW
        settle(real, follow, isNew ? mode : undefined, uid)
      }
      return wasThere ? `${named} exists already` : `made ${named}`
    },
  }
}

/** Writes a text file. An existing file is kept, unless it is one that init may update. */
export function file(site: Site, place: Place & { content: string; isOurs?: boolean }): Step {
  const { path, content, isOurs = false } = place
  const real = join(site.root, path)
  const same = () => readFileSync(real, 'utf8') === content
  const isKept = () => existsSync(real) && (!isOurs || same())
  const kept = () => `${path} exists already${same() ? '' : ' with other content'}`
  return {
    preview: () => (isKept() ? kept() : `would write ${placed(place)}:\n${indented(content)}`),
    perform: async () => {
      if (isKept()) return `${kept()}; it is kept`
      const isThere = existsSync(real)
      mkdirSync(dirname(real), { recursive: true })
      replaceFile(real, content, place.mode, await ownerOf(site, path, place.owner))
      return isThere ? `updated ${path}` : `wrote ${path}`
    },
  }
}

/** Makes a key pair; the secret key is never shown. */
export function keyPair(
  site: Site,
  place: { name: string; secretKeyFile: string; publicKeyFile: string; owner: string },
): Step {
  const { name, secretKeyFile, publicKeyFile, owner } = place
  const real = join(site.root, secretKeyFile)
  return {
    preview: () =>
      existsSync(real)
        ? `${secretKeyFile} exists already`
        : `would make the key pair ${name}: ${placed({ path: secretKeyFile, mode: 0o600, owner })} and ${publicKeyFile} (0644)`,
    perform: async () => {
      if (existsSync(real)) return `${secretKeyFile} exists already; it is kept`
      mkdirSync(dirname(real), { recursive: true })
      const publicKey = await makeKeyPair(name, real)
      await own(site, real, owner)
      writeFileSync(join(site.root, publicKeyFile), `${publicKey}\n`, { mode: 0o644 })
      return `made the key pair ${secretKeyFile}, which only ${owner} can read, and ${publicKeyFile}`
    },
  }
}

/** Runs a program. */
export function program(argv: readonly [string, ...string[]]): Step {
  const line = argv.join(' ')
  return {
    preview: () => `would run: ${line}`,
    perform: async () => {
      const [name, ...args] = argv
      const { exitCode, lines } = await run(name, args)
      if (exitCode !== 0) throw new UserError(`${line} failed: ${lines.slice(-3).join('; ') || 'no message'}`)
      return `ran ${line}`
    },
  }
}

function placed({ path, mode, owner }: { path: string; mode: number; owner?: string | undefined }): string {
  return `${path} (0${mode.toString(8)}${owner === undefined ? '' : `, of ${owner}`})`
}

/** Sets the mode and the owner of an open directory: its name may be replaced at any time. */
function settle(path: string, follow: number, mode: number | undefined, owner: User | undefined): void {
  const directory = openDirectory(path, follow)
  try {
    if (mode !== undefined) fchmodSync(directory, mode)
    if (owner) fchownSync(directory, owner.uid, owner.gid)
  } finally {
    closeSync(directory)
  }
}

function openDirectory(path: string, follow: number): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | follow)
  } catch (error) {
    if (!['ELOOP', 'ENOTDIR'].includes(codeOf(error) ?? '')) throw error
    throw new UserError(`${path} is not a directory, or it is a symlink, which is not allowed in a spool`)
  }
}

async function own(site: Site, path: string, owner: string | undefined): Promise<void> {
  const user = await ownerOf(site, path, owner)
  if (user) lchownSync(path, user.uid, user.gid)
}

/** @returns undefined if files stay ours. */
async function ownerOf({ root }: Site, path: string, owner: string | undefined): Promise<User | undefined> {
  if (owner === undefined || root !== '' || process.getuid?.() !== 0) return undefined
  const user = await findUser(owner)
  if (!user) throw new UserError(`there is no user ${owner} to own ${path}; --install creates it`)
  return user
}

/** The beginning of a long text. */
function indented(text: string): string {
  const lines = text.trimEnd().split('\n')
  const shown = lines.length <= SHOWN_LINES ? lines : [...lines.slice(0, SHOWN_LINES_OF_LONG), '…']
  return shown.map((line) => `    | ${line}`).join('\n')
}
