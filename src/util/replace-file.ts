import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { naming } from './user-error.ts'

/**
 * Replaces a file at once: a reader sees the old content or the new content, at any time, and after a power cut.
 * @param mode Its permissions, whatever the umask.
 * @param owner Without it, this process's user.
 * @throws A system error that names the file.
 */
export function replaceFile(
  path: string,
  content: string,
  mode: number,
  owner?: { uid: number; gid: number },
): void {
  const temporary = join(dirname(path), `.nix-upload-${randomUUID()}`)
  const file = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(file, content)
    if (owner) fchownSync(file, owner.uid, owner.gid)
    fchmodSync(file, mode)
    fsyncSync(file)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw naming(path, error)
  } finally {
    closeSync(file)
  }
}
