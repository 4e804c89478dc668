import { codeOf, wordsOf } from '../../util/user-error.ts'
import { type Meaning, TransportFailure } from '../transport-failure.ts'

const NO_ROOM: Meaning = {
  isOfOneFile: true,
  isTrouble: true,
  means: 'the disk of the destination is full: make room there',
}
const NOT_ALLOWED: Meaning = {
  means:
    'the user of this service may not write there: give it the directory (chown), and let the unit write there (ReadWritePaths)',
}

/** What an error of the disk means: never a job's fault. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: NO_ROOM,
  EDQUOT: NO_ROOM,
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
  EROFS: {
    means:
      'the destination is on a filesystem that is read-only: mount it to be written to, or let the unit write there (ReadWritePaths)',
  },
  EIO: { means: 'the disk of the destination has errors: look into the log of the kernel' },
  ESTALE: { means: 'the mount of the destination is stale: mount it again' },
  EMFILE: { retry: 'slower', means: 'this service has no file handles left: raise its LimitNOFILE' },
  EFBIG: {
    isOfOneFile: true,
    means: 'a file there is far too large to be what it should be: see what it is, and remove it',
  },
}

/**
 * What an error of the disk means.
 * @param root The directory of the destination.
 */
export function fileFailure(error: unknown, root: string): TransportFailure {
  const meaning = MEANINGS[codeOf(error) ?? ''] ?? {
    means: `the destination's directory ${root} can't be used`,
  }
  return new TransportFailure(meaning, `the kernel says: ${wordsOf(error)}`)
}
