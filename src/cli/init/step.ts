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

/** Something that init does, unless it is done already. */
export interface Step {
  /** What would be done, in words, with the content of files; what is not to be done, why. */
  preview(): string
  /** Does it. Returns what was done, in words. */
  perform(): Promise<string>
}

/** Where it is done, and for whom. */
export interface Site {
  /** In front of every path; empty for this machine. Elsewhere nothing is run and everything stays ours. */
  root: string
}

/** No unit and no configuration is longer; the hook is. */
const SHOWN_LINES = 150
const SHOWN_LINES_OF_LONG = 6

interface Place {
  path: string
  mode: number
  /** A user's name; without one it stays ours. */
  owner?: string
}

/**
 * A directory, and some in it.
 * @param below Names of directories in it.
 * @param isOurs It is handed to its owner also where it is there already; somebody else's stays as it is.
 */
export function directory(site: Site, place: Place & { below?: readonly string[]; isOurs?: boolean }): Step {
  const { path, mode, owner, below = [], isOurs = false } = place
  const all = ['', ...below].map((name) => join(site.root, path, name))
  const isThere = () => all.every((real) => existsSync(real))
  const named = `${path}${below.length > 0 ? ` with ${below.join(', ')} in it` : ''}`
  return {
    preview: () =>
      isThere() ? `${named} is there already` : `would make ${placed({ path: named, mode, owner })}`,
    perform: async () => {
      const wasThere = isThere()
      for (const real of all) {
        const isNew = mkdirSync(real, { recursive: true }) !== undefined
        const uid = isNew || isOurs ? await ownerOf(site, real, owner) : undefined
        // What is in somebody else's directory may be a symlink by now; the directory itself may be one of root's.
        const follow = real === all[0] ? 0 : constants.O_NOFOLLOW
        settle(real, follow, isNew ? mode : undefined, uid)
      }
      return wasThere ? `${named} is there already` : `made ${named}`
    },
  }
}

/** A text file. One that is there is kept, whatever it holds, unless it is ours to bring up to date. */
export function file(site: Site, place: Place & { content: string; isOurs?: boolean }): Step {
  const { path, content, isOurs = false } = place
  const real = join(site.root, path)
  const same = () => readFileSync(real, 'utf8') === content
  const isKept = () => existsSync(real) && (!isOurs || same())
  const kept = () => `${path} is there already${same() ? '' : ' with other content'}`
  return {
    preview: () => (isKept() ? kept() : `would write ${placed(place)}:\n${indented(content)}`),
    perform: async () => {
      if (isKept()) return `${kept()}, and is kept`
      const isThere = existsSync(real)
      mkdirSync(dirname(real), { recursive: true })
      replaceFile(real, content, place.mode, await ownerOf(site, path, place.owner))
      return isThere ? `brought up to date ${path}` : `wrote ${path}`
    },
  }
}

/** A key pair; the secret half is never shown. */
export function keyPair(
  site: Site,
  place: { name: string; secretKeyFile: string; publicKeyFile: string; owner: string },
): Step {
  const { name, secretKeyFile, publicKeyFile, owner } = place
  const real = join(site.root, secretKeyFile)
  return {
    preview: () =>
      existsSync(real)
        ? `${secretKeyFile} is there already`
        : `would make the key pair ${name}: ${placed({ path: secretKeyFile, mode: 0o600, owner })} and ${publicKeyFile} (0644)`,
    perform: async () => {
      if (existsSync(real)) return `${secretKeyFile} is there already, and is kept`
      mkdirSync(dirname(real), { recursive: true })
      const publicKey = await makeKeyPair(name, real)
      await own(site, real, owner)
      writeFileSync(join(site.root, publicKeyFile), `${publicKey}\n`, { mode: 0o644 })
      return `made the key pair ${secretKeyFile}, which only ${owner} can read, and ${publicKeyFile}`
    },
  }
}

/** A program to be run. */
export function program(argv: readonly [string, ...string[]]): Step {
  const line = argv.join(' ')
  return {
    preview: () => `would run: ${line}`,
    perform: async () => {
      const [name, ...args] = argv
      const { exitCode, lines } = await run(name, args)
      if (exitCode !== 0)
        throw new UserError(`${line} failed: ${lines.slice(-3).join('; ') || 'it said nothing'}`)
      return `ran ${line}`
    },
  }
}

function placed({ path, mode, owner }: { path: string; mode: number; owner?: string | undefined }): string {
  return `${path} (0${mode.toString(8)}${owner === undefined ? '' : `, of ${owner}`})`
}

/** Gives a directory its mode and its owner, by what was opened: its name may stand for something else at any time. */
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
    throw new UserError(`${path} is no directory, or a symlink, which a spool must not have in it`)
  }
}

async function own(site: Site, path: string, owner: string | undefined): Promise<void> {
  const user = await ownerOf(site, path, owner)
  if (user) lchownSync(path, user.uid, user.gid)
}

/** @returns undefined if it is to stay ours. */
async function ownerOf({ root }: Site, path: string, owner: string | undefined): Promise<User | undefined> {
  if (owner === undefined || root !== '' || process.getuid?.() !== 0) return undefined
  const user = await findUser(owner)
  if (!user) throw new UserError(`there is no user ${owner}, who is to own ${path}; --install makes it`)
  return user
}

/** Of a long text, the beginning. */
function indented(text: string): string {
  const lines = text.trimEnd().split('\n')
  const shown = lines.length <= SHOWN_LINES ? lines : [...lines.slice(0, SHOWN_LINES_OF_LONG), '…']
  return shown.map((line) => `    | ${line}`).join('\n')
}
