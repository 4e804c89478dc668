import { existsSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../util/run-program.ts'
import { UserError } from '../../util/user-error.ts'
import { HOMES } from '../unit-sandbox.ts'
import { findUser } from '../user.ts'

/** What the units start. */
export interface ServiceProgram {
  /** As ExecStart= has it, without arguments. */
  command: string
  /** A file that is there as long as nix-upload is installed. */
  file: string
  /** A package of the distribution brought units and user along. */
  isPackaged: boolean
}

const LAUNCHER = fileURLToPath(new URL('../../../bin/nix-upload', import.meta.url))
/** Where systemd looks for a program without a path. */
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
/** The units' PATH, as far as a Node may be on it. */
const NODE_PATH = ['/usr/local/bin', '/usr/bin', '/bin', '/nix/var/nix/profiles/default/bin']
/** The profile of all of a machine, where Nix installs programs: what a unit names there outlives an upgrade. */
const IN_PROFILE = '/nix/var/nix/profiles/default/bin/nix-upload'
/** Where the Debian package is. */
const PACKAGED = '/usr/lib/nix-upload/'

/** What a hook is told to look for, where no unit starts anything. */
export function ownProgram(): ServiceProgram {
  if (LAUNCHER.startsWith(PACKAGED)) {
    return { command: 'nix-upload', file: '/usr/bin/nix-upload', isPackaged: true }
  }
  const isFromNix = LAUNCHER.startsWith(`${process.env.NIX_STORE_DIR ?? '/nix/store'}/`)
  if (isFromNix && existsSync(IN_PROFILE)) return notPackaged(IN_PROFILE)
  const named = SYSTEM_PATH.map((place) => join(place, 'nix-upload')).find(isLauncher)
  return named === undefined ? notPackaged(withNode(), LAUNCHER) : notPackaged('nix-upload', named)
}

/**
 * Finds out how a unit of this machine can start this nix-upload: by its name where that leads to it and to a Node that is
 * new enough, otherwise with the Node that runs now.
 * @throws {UserError} if it would start something in somebody's home, which units can't see.
 */
export async function serviceProgram(): Promise<ServiceProgram> {
  const program = ownProgram()
  if (program.isPackaged || program.file === IN_PROFILE) return program
  const node = NODE_PATH.map((place) => join(place, 'node')).find((file) => existsSync(file))
  const isByName = program.command === 'nix-upload' && node !== undefined && (await isRecent(node))
  await refuseHomes([isByName ? node : process.execPath, program.file])
  return isByName ? program : { ...program, command: withNode() }
}

function notPackaged(command: string, file = command): ServiceProgram {
  return { command, file, isPackaged: false }
}

function withNode(): string {
  return `${process.execPath} ${LAUNCHER}`
}

function isLauncher(file: string): boolean {
  return existsSync(file) && realpathSync(file) === realpathSync(LAUNCHER)
}

/** It runs the launcher, which says so where it is too old. */
async function isRecent(node: string): Promise<boolean> {
  return (await run(node, [LAUNCHER, '--version'])).exitCode === 0
}

async function refuseHomes(files: readonly string[]): Promise<void> {
  const { SUDO_USER } = process.env
  const sudoer = SUDO_USER ? await findUser(SUDO_USER) : undefined
  const homes = [...HOMES, homedir(), sudoer?.home ?? '/'].filter((home) => home !== '/')
  const isAtHome = (file: string) => homes.some((home) => file.startsWith(`${home}/`))
  const hidden = files.flatMap((file) => [file, realpathSync(file)]).find(isAtHome)
  if (hidden === undefined) return
  throw new UserError(
    `--install: ${hidden} is in a home directory, which the service can't see and which is one person's. Install Node ` +
      'and nix-upload for all of the machine, with the npm of the system and not with nvm’s: /usr/bin/npm install ' +
      '--global node@24, then nix-upload itself (docs/INSTALL.md), or take the Debian package',
  )
}
