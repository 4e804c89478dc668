import { open } from 'node:fs/promises'

/**
 * Makes the content of a file durable, or the names in a directory.
 * @throws A system error if the disk fails.
 */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
