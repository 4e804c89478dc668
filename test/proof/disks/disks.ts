// Disks of a test: image files with a filesystem each, mounted by way of loop devices. Everything that reaches them is
// recorded (recorder.ts), so that they can be had again as they were at any instant of the run (cuts.ts).

import { execFileSync, type StdioOptions, spawn } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../../integration/daemon.ts'
import type { Kind } from './filesystems.ts'
import { type Recorded, readLog } from './log.ts'

const RECORDER = fileURLToPath(new URL('./recorder.ts', import.meta.url))
/** The least that mkfs.xfs takes. Images are sparse. */
const IMAGE_BYTES = 300 * 1024 * 1024

/** What reached the disks while something was done, and how they were before. */
export interface Recording {
  /** An image for each disk. */
  before: readonly string[]
  records: readonly Recorded[]
}

export class Disks {
  readonly kind: Kind
  readonly names: readonly string[]
  readonly #dir: string
  #isMounted = false

  /** Makes empty disks, of which `at` tells where they will be mounted. */
  constructor(kind: Kind, names: readonly string[]) {
    this.kind = kind
    this.names = names
    this.#dir = realpathSync(mkdtempSync(join(tmpdir(), 'nix-upload-disks-')))
    mkdirSync(this.#path('served'))
    for (const name of names) {
      mkdirSync(this.at(name))
      const image = this.#image(name)
      writeFileSync(image, '')
      truncateSync(image, IMAGE_BYTES)
      run(`mkfs.${kind}`, '-q', ...(kind === 'ext4' ? ['-b', '4096'] : []), image)
      run('fallocate', '--dig-holes', image)
    }
  }

  /** The directory that a disk is mounted at, the same each time. */
  readonly at = (name: string): string => this.#path(`at-${name}`)

  /** Does something with the disks mounted, which is not recorded. */
  async prepare<T>(act: () => Promise<T>): Promise<T> {
    return await this.mounted(
      this.names.map((name) => this.#image(name)),
      act,
    )
  }

  /** Does something with these images mounted in the place of the disks. What is written to them stays. */
  async mounted<T>(images: readonly string[], act: () => Promise<T>): Promise<T> {
    try {
      this.#isMounted = true
      for (const [at, name] of this.names.entries()) {
        run('mount', '-t', this.kind, '-o', 'loop', images[at] ?? '', this.at(name))
      }
      return await act()
    } finally {
      await this.#unmount()
    }
  }

  /**
   * Does something with the disks mounted, and records what reaches them.
   * @param act Is given what tells how much has reached them by now, as the `end` of a record.
   */
  async record(act: (position: () => number) => Promise<void>): Promise<Recording> {
    const before = this.names.map((name) => this.#image(name))
    const live = this.names.map((name) => this.#path(`live-${name}`))
    for (const [at, image] of before.entries()) copySparse(image, live[at] ?? '')
    const log = this.#path('log')
    rmSync(log, { force: true })
    this.#serve()
    let end = 0
    try {
      const served = this.names.map((name) => this.#path(`served/live-${name}`))
      const position = () => statSync(log).size
      await this.mounted(served, async () => {
        await act(position)
        end = position()
      })
    } finally {
      run('umount', '--lazy', this.#path('served'))
    }
    // Behind that they were unmounted.
    return { before, records: readLog(log).filter((record) => record.end <= end) }
  }

  /** Mounts a filesystem that has the images, and records what is written to them. */
  #serve(): void {
    const fuse = openSync('/dev/fuse', 'r+')
    try {
      const stdio: StdioOptions = ['ignore', 'inherit', 'inherit', fuse]
      const images = this.names.map((name) => `live-${name}`)
      spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, RECORDER, this.#dir, ...images], { stdio })
      const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
      execFileSync('mount', ['-i', '-t', 'fuse', '-o', options, 'recorder', this.#path('served')], { stdio })
    } finally {
      closeSync(fuse)
    }
  }

  /** A place for the image of a disk. */
  scratch(name: string): string {
    return this.#path(`cut-${name}`)
  }

  async remove(): Promise<void> {
    await this.#unmount()
    rmSync(this.#dir, { recursive: true, force: true })
  }

  async #unmount(): Promise<void> {
    if (!this.#isMounted) return
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
    for (const name of this.names) {
      const place = this.at(name)
      if (!mounts.includes(` ${place} `)) continue
      // A server that was asked about paths may need a moment to end.
      await until(() => isDone('umount', place), `${place} to be unmounted`)
    }
    // btrfs remembers the newest it has seen of a disk, and refuses an older image of it.
    if (this.kind === 'btrfs') run('btrfs', 'device', 'scan', '--forget')
    this.#isMounted = false
  }

  #image(name: string): string {
    return this.#path(`image-${name}`)
  }

  #path(name: string): string {
    return join(this.#dir, name)
  }
}

export function copySparse(from: string, to: string): void {
  run('cp', '--sparse=always', from, to)
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function isDone(command: string, ...args: string[]): boolean {
  try {
    run(command, ...args)
    return true
  } catch {
    return false
  }
}
