import { existsSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../util/run-program.ts'
import { UserError } from '../../util/user-error.ts'
import { HOMES, isBelow } from '../unit-sandbox.ts'
import { findUser } from '../user.ts'

/** The program that the units start. */
export interface ServiceProgram {
  /** For ExecStart=, without arguments. */
  command: string
  /** A file of the installed nix-upload. */
  file: string
  /** A package of the distribution has installed units and user. */
  isPackaged: boolean
}

const LAUNCHER = fileURLToPath(new URL('../../../bin/nix-upload', import.meta.url))
/** Where systemd looks for a program without a path. */
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
/** The directories of the units' PATH that may have a Node. */
const NODE_PATH = ['/usr/local/bin', '/usr/bin', '/bin', '/nix/var/nix/profiles/default/bin']
/** The profile of the whole machine, where Nix installs programs. A path in it stays valid after an upgrade. */
const IN_PROFILE = '/nix/var/nix/profiles/default/bin/nix-upload'
/** The directory of the Debian package. */
const PACKAGED = '/usr/lib/nix-upload/'

/** The file that a hook looks for if there is no unit. */
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
 * Finds out how a unit of this machine can start this nix-upload: by its name, if systemd finds it and a Node that is new
 * enough; otherwise with the Node that runs now.
 * @throws {UserError} if it is in a home directory, which units can't see.
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

/** It runs the launcher, which fails if Node is too old. */
async function isRecent(node: string): Promise<boolean> {
  return (await run(node, [LAUNCHER, '--version'])).exitCode === 0
}

async function refuseHomes(files: readonly string[]): Promise<void> {
  const { SUDO_USER } = process.env
  const sudoer = SUDO_USER ? await findUser(SUDO_USER) : undefined
  const homes = [...HOMES, homedir(), sudoer?.home ?? '/'].filter((home) => home !== '/')
  const isAtHome = (file: string) => isBelow(file, homes)
  const hidden = files.flatMap((file) => [file, realpathSync(file)]).find(isAtHome)
  if (hidden === undefined) return
  throw new UserError(
    `--install: ${hidden} is in a home directory, which the service can't see. Install Node ` +
      'and nix-upload for the whole machine, with the npm of the system, not of nvm: /usr/bin/npm install ' +
      '--global node@24, then nix-upload itself (docs/INSTALL.md), or use the Debian package',
  )
}
