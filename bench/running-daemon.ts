// A daemon that is running, as it is on a builder: what a delivery takes is measured from the first claim to the last file
// in done/. It is paused while jobs are queued.

import { readdirSync, readFileSync, statSync, watch } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { GcRoots } from '../src/nix/gc-roots.ts'
import { handOver } from '../src/spool/hand-over.ts'
import { openSpool, type Spool } from '../src/spool/layout.ts'
import { pause, resume } from '../src/spool/pause.ts'
import { Daemon } from '../test/integration/daemon.ts'
import type { PrivateNix } from '../test/support/private-nix.ts'

const PROGRAM = new URL('../bin/nix-upload', import.meta.url).pathname
/** As systemd/nix-upload.service has it. */
const AS_SERVICE = { NODE_OPTIONS: '--max-semi-space-size=4', MALLOC_ARENA_MAX: '1' }
/** Of a second; what /proc counts in. */
const TICK = 1 / 100

/** What something took. */
export interface Run {
  seconds: number
  /** Of the whole process tree. */
  cpuSeconds: number
  /** The most that the program itself had in memory. */
  peakMiB: number
}

export class RunningDaemon {
  readonly #daemon: Daemon
  readonly #spool: Spool

  /** @param args Of `nix-upload watch`. */
  static async start(
    nix: PrivateNix,
    directory: string,
    args: string[],
    env: Record<string, string> = {},
  ): Promise<RunningDaemon> {
    const whole = { ...nix.env, ...AS_SERVICE, NIX_UPLOAD_SPOOL: directory, NIX_UPLOAD_GCROOTS: '', ...env }
    const running = new RunningDaemon(new Daemon(PROGRAM, ['watch', ...args], whole), openSpool(directory))
    await running.#daemon.says('watching')
    return running
  }

  private constructor(daemon: Daemon, spool: Spool) {
    this.#daemon = daemon
    this.#spool = spool
  }

  /** Delivers a job a path. */
  async deliver(paths: readonly string[]): Promise<Run> {
    const { cur, done, failed } = this.#spool
    pause(this.#spool)
    handOver(
      this.#spool,
      new GcRoots(''),
      paths.map((path) => ({ outPaths: [path] })),
    )
    const before = this.#cpuSeconds()
    const firstClaim = firstChange(cur)
    resume(this.#spool)
    const startedAt = await firstClaim
    // Seldom, since looking takes time, too; when it was through is written on the directory.
    while ([this.#spool.new, cur].some((directory) => readdirSync(directory).length > 0)) await sleep(100)
    if (readdirSync(failed).length > 0) throw new Error(this.#daemon.log.join('\n'))
    return {
      seconds: (statSync(done).mtimeMs - startedAt) / 1000,
      cpuSeconds: this.#cpuSeconds() - before,
      peakMiB: Math.round(Number(/VmHWM:\s+(\d+)/.exec(this.#proc('status'))?.[1] ?? 0) / 1024),
    }
  }

  /** What it has had written to disks so far (proc(5), `io`); what lies in memory is none. */
  writtenBytes(): number {
    return Number(/^write_bytes: (\d+)/m.exec(this.#proc('io'))?.[1] ?? 0)
  }

  async stop(): Promise<void> {
    await this.#daemon.stop()
  }

  /** Its own, and of those of its children that have ended (proc(5), `stat`). */
  #cpuSeconds(): number {
    const fields = this.#proc('stat').split(') ')[1]?.split(' ').slice(11, 15) ?? []
    return fields.reduce((sum, ticks) => sum + Number(ticks) * TICK, 0)
  }

  #proc(name: string): string {
    return readFileSync(`/proc/${this.#daemon.pid}/${name}`, 'utf8')
  }
}

/** When something is first put into a directory or taken out of it, in milliseconds of the epoch. */
function firstChange(directory: string): Promise<number> {
  return new Promise((resolve) => {
    const watcher = watch(directory, () => {
      watcher.close()
      resolve(Date.now())
    })
  })
}
