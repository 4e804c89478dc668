import { codeOf } from '../../config/user-error.ts'
import { NixFailure } from '../../nix/failure.ts'
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

/** Whether a failure to stage something is for want of room. */
export function isForWantOfRoom(error: unknown): boolean {
  return error instanceof NixFailure
    ? error.messages.some((message) => NO_ROOM.test(message))
    : ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '')
}
