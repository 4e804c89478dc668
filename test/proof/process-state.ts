// What a process holds, as the kernel sees it.

import { readdirSync, readFileSync } from 'node:fs'
import { descendantsOf } from '../integration/daemon.ts'

export interface ProcessState {
  /** Open file descriptors. */
  handles: number
  /** Watches of all its inotify instances. */
  watches: number
  /** Resident memory in MB. */
  rss: number
  threads: number
  children: number
}

export function stateOf(pid: number): ProcessState {
  const handles = readdirSync(`/proc/${pid}/fd`)
  const watches = handles
    .flatMap((fd) => readIfThere(`/proc/${pid}/fdinfo/${fd}`).split('\n'))
    .filter((line) => line.startsWith('inotify ')).length
  const status = readIfThere(`/proc/${pid}/status`)
  const figure = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
  return {
    handles: handles.length,
    watches,
    rss: Math.round(figure('VmRSS') / 1024),
    threads: figure('Threads'),
    children: descendantsOf(pid).length,
  }
}

/** A handle may be closed by the time that it is looked at. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
