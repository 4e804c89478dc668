import {
  closeSync,
  constants,
  type Dir,
  type Dirent,
  fstatSync,
  opendirSync,
  openSync,
  readSync,
  type Stats,
} from 'node:fs'
import { codeOf, naming, wordsOf } from '../util/user-error.ts'
import type { Job } from './job.ts'
import { MAX_FILE_BYTES, MAX_JOB_BYTES, NotAJobError, parseJob, tooLarge } from './job-file.ts'
import { identityIn, versionIn } from './write.ts'

/** True for a directory entry that may be a job: no dotfile, and no note beside a rejected file. */
export function mayBeJob(name: string): boolean {
  // An event may come without a name.
  return name !== '' && !name.startsWith('.') && !name.endsWith('.reason')
}

/** Streams a directory's entries, however many there are, a few hundred in memory at a time. */
export function* entriesOf(directory: string): Generator<Dirent> {
  const stream = openDirectory(directory)
  try {
    for (let entry = stream.readSync(); entry; entry = stream.readSync()) yield entry
  } finally {
    stream.closeSync()
  }
}

/** Opens a directory for reading; the error names it. */
export function openDirectory(path: string): Dir {
  try {
    return opendirSync(path, { bufferSize: 512 })
  } catch (error) {
    throw naming(path, error)
  }
}

/** A job, and which file it was read from. */
export interface JobFile {
  job: Job
  /** By `identityOf`; undefined if a rename would change that. */
  identity: string | undefined
  /** By `versionOf`, which no rename changes. */
  version: string
}

/**
 * Reads a job.
 * @returns The job, or undefined if the file is gone.
 * @throws {NotAJobError} if it is no valid job: not a regular file, too large, unreadable, or of wrong content.
 */
export function readJob(path: string, storeDir: string): Job | undefined {
  return readJobFile(path, storeDir)?.job
}

/** Like `readJob`, and also tells which file that was: another file may get the same name. */
export function readJobFile(path: string, storeDir: string): JobFile | undefined {
  const file = readRegularFile(path)
  if (!file) return undefined
  const { bytes, identity, version } = file
  const job = parseJob(bytes, storeDir)
  // With what the daemon added, it may be more.
  if (bytes.length > MAX_JOB_BYTES && job.raw.destinations === undefined) throw tooLarge(bytes.length)
  return { job, identity, version }
}

/** A small text file's content, or undefined if there is none, or something else than a readable file. */
export function readTextIfThere(path: string): string | undefined {
  try {
    return readRegularFile(path)?.bytes.toString()
  } catch (error) {
    if (error instanceof NotAJobError || codeOf(error) === 'ENAMETOOLONG') return undefined
    throw error
  }
}

/** O_NOFOLLOW and O_NONBLOCK: no symlink in the spool may lead the reader elsewhere, and no FIFO may block it. */
function readRegularFile(path: string): (Omit<JobFile, 'job'> & { bytes: Buffer }) | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) === 'ELOOP') throw new NotAJobError('it is a symlink, not a regular file')
    if (codeOf(error) === 'ENXIO') throw new NotAJobError('it is a socket or a FIFO, not a regular file')
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') {
      throw new NotAJobError(`it cannot be read: ${wordsOf(error)}`)
    }
    throw error
  }
  try {
    const stats = fstatSync(fd)
    if (stats.isDirectory()) throw new NotAJobError('it is a directory, not a regular file')
    if (!stats.isFile()) throw new NotAJobError('it is not a regular file')
    if (stats.size > MAX_FILE_BYTES) throw tooLarge(stats.size)
    const bytes = readAll(fd, stats.size)
    return { bytes, identity: stableIdentity(stats), version: versionIn(stats) }
  } finally {
    closeSync(fd)
  }
}

/** If the system doesn't know a file's time of birth, Node returns the time of its last change. */
function stableIdentity(stats: Stats): string | undefined {
  return stats.birthtimeMs === stats.ctimeMs ? undefined : identityIn(stats)
}

function readAll(fd: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  let length = 0
  while (length < size) {
    const count = readSync(fd, bytes, length, size - length, length)
    if (count === 0) break
    length += count
  }
  return bytes.subarray(0, length)
}
