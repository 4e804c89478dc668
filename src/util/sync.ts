import { execFile } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { codeOf } from './user-error.ts'

/** Up to so many files are synced one by one; more of them together, with all that waits for that filesystem. */
const SYNCED_ALONE = 16

/**
 * Makes files of a directory durable, and their names in it. One that is gone meanwhile is passed over.
 * @throws A system error where the disk can't.
 */
export async function syncFiles(directory: string, names: readonly string[]): Promise<void> {
  if (names.length > SYNCED_ALONE && (await syncFilesystem(directory))) return
  for (const name of names) {
    await syncPath(join(directory, name)).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error
    })
  }
  await syncPath(directory)
}

/** On Linux, `sync -f` syncs one filesystem: its files, their names and all. */
async function syncFilesystem(path: string): Promise<boolean> {
  return await promisify(execFile)('sync', ['-f', path]).then(
    () => true,
    () => false,
  )
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
