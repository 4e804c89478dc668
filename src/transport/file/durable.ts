// Makes files durable. Each function blocks.

import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { codeOf } from '../../util/user-error.ts'
import { temporaryDirectory } from './temporary-file.ts'

/** Syncs the filesystem of a file; on Linux, `sync -f` does it. False if that failed. */
export function syncFilesystem(path: string): boolean {
  return spawnSync('sync', ['-f', path], { stdio: 'ignore' }).status === 0
}

/** Syncs a file or a directory. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Syncs the names in a directory that has one for temporary files. */
export function syncNames(directory: string): void {
  if (!syncDirectory(directory)) syncFilesystem(temporaryDirectory(directory))
}

/** Syncs a directory. False for a directory that we may write to but not read, and on filesystems that sync no directories, such as VirtualBox's. */
export function syncDirectory(path: string): boolean {
  try {
    syncPath(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EINVAL') return false
    throw error
  }
}
