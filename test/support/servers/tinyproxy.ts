// A proxy as people have it: tinyproxy, which passes on plain requests and makes tunnels.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer } from './server-process.ts'

export interface Tinyproxy {
  /** `127.0.0.1:PORT`. */
  address: string
  stop(): Promise<void>
}

/**
 * Starts tinyproxy on a free port of 127.0.0.1.
 * @param login A user name and a password that it wants.
 */
export async function startTinyproxy(login?: [string, string]): Promise<Tinyproxy> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-proxy-'))
  const file = join(dir, 'tinyproxy.conf')
  const { port, stop } = await startServer('tinyproxy', async (free) => {
    const lines = [`Port ${free}`, 'Listen 127.0.0.1', 'Timeout 60', 'LogLevel Error']
    if (login) lines.push(`BasicAuth ${login.join(' ')}`)
    await writeFile(file, `${lines.join('\n')}\n`)
    return ['-d', '-c', file]
  })
  return {
    address: `127.0.0.1:${port}`,
    stop: async () => {
      await stop()
      await rm(dir, { recursive: true })
    },
  }
}
