import { daemonAccess, daemonSocket } from '../nix/daemon-socket.ts'
import { NixFailure } from '../nix/failure.ts'
import { NotStartedError } from '../util/run-program.ts'
import { codeOf, remedyFor, UserError, wordsOf } from '../util/user-error.ts'
import { whoMay } from './user.ts'

/**
 * The message for an error that is no bug: what failed and what to do.
 * @returns undefined for any other error, which is a bug.
 */
export async function foreseen(error: unknown): Promise<UserError | undefined> {
  if (error instanceof UserError) return error
  if (error instanceof NotStartedError) {
    return new UserError(`${error.message}; ${error.remedy}`)
  }
  if (error instanceof NixFailure) {
    const said = error.message === '' ? 'it gave no answer' : error.message
    return new UserError(`Nix can't be asked: ${said}${await nixRemedy()}`)
  }
  if (codeOf(error) === undefined) return undefined
  return new UserError(`${wordsOf(error)}${(await whoMay(error)) || remedyFor(error)}`)
}

async function nixRemedy(): Promise<string> {
  const access = await daemonAccess()
  if (access === 'closed') {
    return `; nix-daemon refuses connections of this user (${daemonSocket()}): run this as root, or join the group of its socket`
  }
  return access === 'dead' ? '; nix-daemon is not running: systemctl start nix-daemon.socket' : ''
}
