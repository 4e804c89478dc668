import { IS_UNIT } from '../../util/unit.ts'
import { codeOf, wordsOf } from '../../util/user-error.ts'
import { type Meaning, TransportFailure } from '../transport-failure.ts'

const NO_ROOM: Meaning = {
  isOfOneFile: true,
  isTrouble: true,
  means: 'the disk of the destination is full: make room there',
}
const NO_FILE: Meaning = {
  isOfOneFile: true,
  isTrouble: true,
  means: 'what lies there in place of a file is none: see what it is, and remove it',
}
const BY_UNIT = IS_UNIT ? ', and let the unit write there (ReadWritePaths)' : ''
const NOT_ALLOWED: Meaning = {
  means: `this user may not write there: give it the directory (chown)${BY_UNIT}`,
}

/** What a disk error means: it is never a job's fault. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: NO_ROOM,
  EDQUOT: NO_ROOM,
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
  EROFS: {
    means: `the destination is on a filesystem that is read-only: mount it to be written to${BY_UNIT}`,
  },
  EIO: { means: 'the disk of the destination has errors: look into the log of the kernel' },
  ESTALE: { means: 'the mount of the destination is stale: mount it again' },
  EMFILE: { retry: 'slower', means: 'no file handles are left: raise their limit (ulimit -n, LimitNOFILE=)' },
  ELOOP: NO_FILE,
  ENOTFILE: NO_FILE,
  EEXIST: {
    isOfOneFile: true,
    means: 'a file there belongs to somebody else and is another one: see which of the two is right',
  },
  ENAMETOOLONG: {
    isOfOneFile: true,
    means: 'the filesystem of the destination does not take a name of this length',
  },
  EFBIG: {
    isOfOneFile: true,
    isTrouble: true,
    means: 'a file there is far too large to be what it should be: see what it is, and remove it',
  },
}

/**
 * What a disk error means.
 * @param root The directory of the destination.
 */
export function fileFailure(error: unknown, root: string): TransportFailure {
  const meaning = MEANINGS[codeOf(error) ?? ''] ?? {
    means: `the destination's directory ${root} can't be used`,
  }
  return new TransportFailure(meaning, `the kernel says: ${wordsOf(error)}`)
}
