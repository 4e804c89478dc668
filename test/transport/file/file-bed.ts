// Transports to a directory of this machine, for a test file.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, onTestFinished } from 'vitest'
import { FileTransport } from '../../../src/transport/file/file-transport.ts'
import { temporaryDirectory } from '../bed.ts'

/** Makes a directory for each test of a file. */
export function fileBed() {
  let dir: string

  beforeEach(async () => {
    dir = await temporaryDirectory()
  })

  return {
    get dir(): string {
      return dir
    },
    open(to = `file://${dir}`): FileTransport {
      const transport = new FileTransport({ to, progressTimeoutMs: 20_000 })
      onTestFinished(() => transport.close())
      return transport
    },
    /** What there is below a directory: files only. */
    filesIn(directory = dir): string[] {
      return readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
        .toSorted()
    },
  }
}
