// A thread for blocking work on the files of a directory, so that a slow disk blocks nobody else.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { serveCalls } from '../../util/thread-server.ts'
import { codeOf } from '../../util/user-error.ts'
import { syncDirectory, syncFilesystem, syncNames, syncPath } from './durable.ts'
import type { DiskCall, DiskReply } from './file-transport.ts'
import { temporaryDirectory, temporaryFile } from './temporary-file.ts'

/** For fewer files than this, syncing the whole filesystem isn't worth it. */
const SYNCED_ALONE = 16
/** How long files are synced one by one: a filesystem in memory, or a fast disk, is done by then. */
const QUICK_MS = 20
const DAY_MS = 24 * 3_600_000

/** A file that is written and waits for its rename. */
interface Written {
  from: string
  to: string
  isSynced: boolean
  resolve: (reply: undefined) => void
  reject: (error: unknown) => void
}

let written: Written[] = []
/** The directories that are there. */
const prepared = new Set<string>()

serveCalls<DiskCall, DiskReply>((call) => {
  switch (call.kind) {
    case 'get':
      return get(call.path, call.maxBytes)
    case 'head':
      return head(call.path)
    case 'prepare':
      prepare(dirname(call.path))
      return temporaryFile(call.path)
    case 'put': {
      prepare(dirname(call.path))
      const from = temporaryFile(call.path)
      write(from, call.bytes)
      return place({ from, to: call.path, isSynced: false })
    }
    case 'adopt':
      return place({ from: call.from, to: call.path, isSynced: true })
  }
})

/** Renames a file to its final name, durably, together with all other files that wait. */
function place(file: Pick<Written, 'from' | 'to' | 'isSynced'>): Promise<undefined> {
  if (written.length === 0) setImmediate(commit)
  return new Promise((resolve, reject) => written.push({ ...file, resolve, reject }))
}

function commit(): void {
  const groups = Map.groupBy(written, ({ to }) => dirname(to))
  written = []
  for (const [directory, files] of groups) {
    const placed = placeAll(files)
    try {
      syncNames(directory)
      for (const { resolve } of placed) resolve(undefined)
    } catch (error) {
      for (const { reject } of placed) reject(error)
    }
  }
}

/** Syncs and renames files of one directory: one by one while that is quick, then the rest together. */
function placeAll(files: readonly Written[]): Written[] {
  const began = performance.now()
  let areSynced = false
  return files.filter((file, at) => {
    const isSlow = files.length - at > SYNCED_ALONE && performance.now() - began > QUICK_MS
    if (!areSynced && isSlow) areSynced = syncFilesystem(file.from)
    return attempt(file, () => {
      if (!file.isSynced && !areSynced) syncPath(file.from)
      rename(file)
    })
  })
}

function rename({ from, to }: Written): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (codeOf(error) === 'EISDIR') throw noFile(to)
    // We could write beside it, so it is about this file: it is immutable, or somebody else's in a directory with the sticky bit.
    if (codeOf(error) !== 'EPERM' || !existsSync(to)) throw error
    throw Object.assign(new Error(`${to} may not be replaced by us`), { code: 'EEXIST' })
  }
}

function attempt({ from, reject }: Written, act: () => void): boolean {
  try {
    act()
    return true
  } catch (error) {
    remove(from)
    reject(error)
    return false
  }
}

/** Removes a file that is of no use any more. The error that made it useless is the one that counts. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // It is swept after a day.
  }
}

function head(path: string): number | undefined {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats?.isFile() ? stats.size : undefined
}

function get(path: string, maxBytes: number): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats) return undefined
  // To read a pipe would take for ever.
  if (!stats.isFile()) throw noFile(path)
  if (stats.size <= maxBytes) return readFileSync(path, 'utf8')
  throw Object.assign(new Error(`${path} is larger than ${maxBytes} bytes`), { code: 'EFBIG', path })
}

function noFile(path: string): Error {
  return Object.assign(new Error(`${path} is no file`), { code: 'ENOTFILE' })
}

function write(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes, { flag: 'wx', mode: 0o644 })
  } catch (error) {
    remove(path)
    throw error
  }
}

/**
 * Makes a directory and its directory for temporary files, if they are missing, and syncs them in any case: a process that made
 * them earlier may have been killed before its sync.
 */
function prepare(path: string): void {
  const temporary = temporaryDirectory(path)
  // Someone may have emptied the destination in the meantime.
  if (prepared.has(path) && existsSync(temporary)) return
  const made = makeDirectory(temporary) ?? temporary
  const highest = made.length < path.length ? made : path
  for (let each = temporary; each.length >= highest.length; each = dirname(each)) syncDirectory(dirname(each))
  sweep(temporary)
  prepared.add(path)
}

/**
 * Makes a directory and those above it. On a read-only filesystem, Node's own recursive mkdir wrongly reports that there is no
 * such file.
 * @param isRetry The one above is there. In /proc and the like, the kernel says ENOENT all the same.
 * @returns The first one that was made.
 */
function makeDirectory(path: string, isRetry = false): string | undefined {
  try {
    mkdirSync(path)
    return path
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EEXIST') {
      if (existsSync(path)) return undefined
      const nowhere = new Error(`${path} is a symlink that leads nowhere: is something not mounted?`)
      throw Object.assign(nowhere, { code: 'ENOENT', path })
    }
    if (code !== 'ENOENT' || isRetry) throw error
    const first = makeDirectory(dirname(path))
    const made = makeDirectory(path, true)
    return first ?? made
  }
}

/** Removes files that a killed writer left there. */
function sweep(temporary: string): void {
  for (const name of readdirSync(temporary)) {
    const path = join(temporary, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    // Others may be writing into the same cache, but nobody writes one file for a day.
    if (stats?.isFile() && Date.now() - stats.mtimeMs > DAY_MS) unlinkSync(path)
  }
}
