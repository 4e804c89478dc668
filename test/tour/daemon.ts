// The real daemon, started as a service manager would start it.

import { once } from 'node:events'
import { createWriteStream, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { CHECKOUT, type Folder } from './folder.ts'

/** A daemon that runs; `stop` it. */
export interface Daemon {
  /** Asks it to stop with SIGTERM and waits until it has. */
  stop(): Promise<void>
}

/** Starts `nix-upload watch`; resolves when it is at work. */
export async function startDaemon(folder: Folder): Promise<Daemon> {
  const args = ['watch', '--secret-key-file', folder.secretKey]
  // A file, and no pipe through here, which would end with the tour if somebody killed that.
  const log = createWriteStream(folder.log)
  await once(log, 'open')
  const child = execa(join(CHECKOUT, 'bin/nix-upload'), args, {
    env: folder.env,
    extendEnv: false,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: log,
    reject: false,
  })
  log.destroy()
  let hasEnded = false
  void child.finally(() => {
    hasEnded = true
  })
  // Its report, which is the first thing that it writes into the spool.
  while (!existsSync(join(folder.spool, 'daemon.json'))) {
    if (hasEnded) throw new Error('nix-upload watch ended at once')
    await sleep(10)
  }
  return {
    async stop() {
      child.kill('SIGTERM')
      const { exitCode } = await child
      if (exitCode !== 0) throw new Error(`nix-upload watch exited with ${exitCode}`)
    },
  }
}

/** The end of the daemon's log, to be put behind an error. */
export function logEnd({ log, short }: Folder): string {
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').slice(-3) : []
  return lines.length > 0 ? `\nThe end of ${short(log)}:\n${lines.join('\n')}` : ''
}
