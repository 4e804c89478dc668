import { statfs } from 'node:fs/promises'
import { NixFailure } from '../../nix/failure.ts'
import { codeOf } from '../../util/user-error.ts'
import { SendFailure } from '../route.ts'

/** All versions of Nix, of files. */
const NO_ROOM = /No space left on device|Disk quota exceeded/

/** The disk of the stage is full. That is no job's fault, and may pass. */
export class NoRoom extends SendFailure {
  constructor(stage: string) {
    const message =
      `there is no room in ${stage}, where uploads are packed: make room on that disk, set "stage" to a directory on a ` +
      `larger one, or "stage-size" to less`
    super({ blame: 'destination', permanent: false, message })
  }
}

/** Nix 2.26 may end so on a full disk, when several of its threads fail at once: no word of the disk. */
const CRASH = /terminate called/

/** A disk with less than that is full: Nix was about to write more. */
const FULL_BYTES = 1024 * 1024

/**
 * What a failure to stage something comes down to. To be asked before what Nix wrote is removed.
 * @param stage The directory, on the disk that may be full.
 */
export async function orNoRoom(error: unknown, stage: string): Promise<unknown> {
  return (await isForWantOfRoom(error, stage)) ? new NoRoom(stage) : error
}

async function isForWantOfRoom(error: unknown, stage: string): Promise<boolean> {
  if (!(error instanceof NixFailure)) return ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '')
  const says = (text: RegExp) => error.messages.some((message) => text.test(message))
  return says(NO_ROOM) || (says(CRASH) && (await isFull(stage)))
}

async function isFull(directory: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize < FULL_BYTES
}
