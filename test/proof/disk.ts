// A small model of what a power cut can leave of a sequence of system calls, given what was synced when.
//
// A file's bytes are certain once the file was synced, or the whole filesystem, of which there is only one here; before that any beginning of them may be there, none or all.
// A name (made, renamed, removed) is certain once its directory was synced after that; before, it may or may not have
// come about. A rename is atomic: it came about whole or not at all. Two kinds of disk:
// `journal`: names come about in the order of the calls, so that what is left is a beginning of them. ext4, xfs and
//   btrfs promise as much.
// `any`: each unsynced change of a name comes about or not, whatever the others do. No filesystem that one would use
//   is as bad; a job must not get lost even there.

import { join } from 'node:path'

export type Kind = 'journal' | 'any'

/** A call that succeeded. `say`: the program told its caller that something is done. */
export type Call =
  | { does: 'create'; path: string }
  | { does: 'write'; path: string; text: string }
  | { does: 'sync'; path: string }
  | { does: 'sync all'; path: string }
  | { does: 'mkdir'; path: string }
  | { does: 'rename'; path: string; to: string }
  | { does: 'symlink'; path: string; target: string }
  | { does: 'remove'; path: string }
  | { does: 'say'; text: string }

/** What lies on the disk: each path's bytes, or `-> TARGET`, or `DIRECTORY` where it was made by one of the calls. */
export type Disk = ReadonlyMap<string, string>
const DIRECTORY = 'a directory'

/** The calls of a trace that strace wrote with -y, those that failed left out. */
export function callsIn(trace: string): Call[] {
  const begun = new Map<string, string>()
  return trace.split('\n').flatMap((line): Call[] => {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (text.endsWith('<unfinished ...>')) {
      begun.set(thread, text.replace(/ *<unfinished \.\.\.>$/, ''))
      return []
    }
    const whole = text.replace(/^<\.\.\. \w+ resumed>/, () => begun.get(thread) ?? '')
    return / = -1 E/.test(whole) ? [] : callOf(whole)
  })
}

const AT = '(?:AT_FDCWD|\\d+)<([^>]*)>'
const TEXT = '"((?:[^"\\\\]|\\\\.)*)"'
const PATTERNS = {
  create: new RegExp(`^openat\\(${AT}, ${TEXT}, [^)]*O_CREAT`),
  write: new RegExp(`^write\\((\\d+)<([^>]*)>, ${TEXT}`),
  syncAll: /^syncfs\(\d+<([^>]*)>/,
  mkdir: new RegExp(`^mkdir\\(${TEXT}`),
  sync: /^f(?:data)?sync\(\d+<([^>]*)>/,
  rename: new RegExp(`^rename\\(${TEXT}, ${TEXT}`),
  renameAt: new RegExp(`^renameat2?\\(${AT}, ${TEXT}, ${AT}, ${TEXT}`),
  symlink: new RegExp(`^symlink\\(${TEXT}, ${TEXT}`),
  symlinkAt: new RegExp(`^symlinkat\\(${TEXT}, ${AT}, ${TEXT}`),
  remove: new RegExp(`^unlink\\(${TEXT}`),
  removeAt: new RegExp(`^unlinkat\\(${AT}, ${TEXT}`),
}

function callOf(text: string): Call[] {
  const found = (pattern: RegExp) =>
    pattern
      .exec(text)
      ?.slice(1)
      .map((part) => part ?? '')
  const at = (directory = '', path = '') => (path.startsWith('/') ? path : join(directory, path))
  const create = found(PATTERNS.create)
  if (create) return [{ does: 'create', path: at(create[0], create[1]) }]
  const write = found(PATTERNS.write)
  if (write) {
    // strace cuts off what is long; how long it is, it tells.
    const [, size] = / = (\d+)$/.exec(text) ?? []
    const said = plain(write[2] ?? '').padEnd(Number(size ?? 0), '?')
    const path = write[1] ?? ''
    return path.startsWith('/') ? [{ does: 'write', path, text: said }] : [{ does: 'say', text: said }]
  }
  const sync = found(PATTERNS.sync)
  if (sync) return [{ does: 'sync', path: sync[0] ?? '' }]
  const syncAll = found(PATTERNS.syncAll)
  if (syncAll) return [{ does: 'sync all', path: syncAll[0] ?? '' }]
  const mkdir = found(PATTERNS.mkdir)
  if (mkdir) return [{ does: 'mkdir', path: mkdir[0] ?? '' }]
  const rename = found(PATTERNS.rename)
  if (rename) return [{ does: 'rename', path: rename[0] ?? '', to: rename[1] ?? '' }]
  const renameAt = found(PATTERNS.renameAt)
  if (renameAt)
    return [{ does: 'rename', path: at(renameAt[0], renameAt[1]), to: at(renameAt[2], renameAt[3]) }]
  const symlink = found(PATTERNS.symlink)
  if (symlink) return [{ does: 'symlink', target: symlink[0] ?? '', path: symlink[1] ?? '' }]
  const symlinkAt = found(PATTERNS.symlinkAt)
  if (symlinkAt)
    return [{ does: 'symlink', target: symlinkAt[0] ?? '', path: at(symlinkAt[1], symlinkAt[2]) }]
  const remove = found(PATTERNS.remove)
  if (remove) return [{ does: 'remove', path: remove[0] ?? '' }]
  const removeAt = found(PATTERNS.removeAt)
  if (removeAt) return [{ does: 'remove', path: at(removeAt[0], removeAt[1]) }]
  return []
}

/** What strace wrote with C's escapes. */
function plain(text: string): string {
  const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f' }
  return text.replaceAll(/\\([0-7]{1,3}|.)/g, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  )
}

/** A file or symlink, apart from its names. */
interface Inode {
  text: string
  /** How much of the text is certain. */
  certain: number
}

/** A change of names. */
interface Change {
  isCertain: boolean
  /** The directories that make it certain when they are synced. */
  directory: string
  /** What gets a name. */
  inode: Inode | undefined
  apply: (names: Map<string, Inode>) => void
}

/**
 * Everything that may be on the disk when the power goes after the first `count` of the calls.
 * @param before What was there, certainly, before the first.
 */
export function afterPowerCut(before: Disk, calls: readonly Call[], count: number, kind: Kind): Disk[] {
  const names = new Map(
    [...before].map(([path, text]): [string, Inode] => [path, { text, certain: text.length }]),
  )
  const certainNames = new Map(names)
  const changes: Change[] = []
  const inodes = new Set<Inode>()
  const change = (directory: string, inode: Inode | undefined, apply: Change['apply']) => {
    apply(names)
    changes.push({ isCertain: false, directory, inode, apply })
  }
  for (const call of calls.slice(0, count)) {
    switch (call.does) {
      case 'create': {
        const inode: Inode = { text: '', certain: 0 }
        inodes.add(inode)
        change(parent(call.path), inode, (all) => all.set(call.path, inode))
        break
      }
      case 'mkdir': {
        const inode: Inode = { text: DIRECTORY, certain: DIRECTORY.length }
        change(parent(call.path), inode, (all) => all.set(call.path, inode))
        break
      }
      case 'symlink': {
        const inode: Inode = { text: `-> ${call.target}`, certain: Number.POSITIVE_INFINITY }
        change(parent(call.path), inode, (all) => all.set(call.path, inode))
        break
      }
      case 'write': {
        const inode = names.get(call.path)
        if (inode) inode.text += call.text
        break
      }
      case 'rename': {
        const inode = names.get(call.path)
        if (!inode) break
        change(parent(call.to), inode, (all) => {
          if (all.get(call.path) === inode) all.delete(call.path)
          all.set(call.to, inode)
        })
        break
      }
      case 'remove':
        change(parent(call.path), undefined, (all) => all.delete(call.path))
        break
      case 'sync': {
        const inode = names.get(call.path)
        if (inode) inode.certain = inode.text.length
        const last = changes.findLastIndex(({ directory }) => directory === call.path)
        for (const [at, each] of changes.entries()) {
          if (at > last || (kind === 'any' && each.directory !== call.path)) continue
          // What has got its last name needs no earlier one any more.
          for (const earlier of changes.slice(0, at)) {
            if (earlier.inode !== undefined && earlier.inode === each.inode) earlier.isCertain = true
          }
          each.isCertain = true
        }
        break
      }
      case 'sync all':
        for (const inode of inodes) inode.certain = inode.text.length
        for (const each of changes) each.isCertain = true
        break
      case 'say':
    }
  }
  return subsets(changes, kind).flatMap((kept) => {
    const left = new Map(certainNames)
    for (const each of kept) each.apply(left)
    for (const path of lostWithDirectories(left, calls.slice(0, count))) left.delete(path)
    return withLostBytes(left, [...inodes])
  })
}

/** What lay in a directory that did not come about. */
function lostWithDirectories(left: ReadonlyMap<string, Inode>, calls: readonly Call[]): string[] {
  const missing = calls.flatMap((call) =>
    call.does === 'mkdir' && !left.has(call.path) ? [`${call.path}/`] : [],
  )
  return [...left.keys()].filter((path) => missing.some((directory) => path.startsWith(directory)))
}

function subsets(changes: readonly Change[], kind: Kind): Change[][] {
  const uncertain = changes.filter(({ isCertain }) => !isCertain)
  if (uncertain.length > 12) throw new Error(`${uncertain.length} unsynced changes are too many to try`)
  if (kind === 'journal') {
    const certain = changes.length - uncertain.length
    return Array.from({ length: uncertain.length + 1 }, (_, more) => changes.slice(0, certain + more))
  }
  return Array.from({ length: 2 ** uncertain.length }, (_, bits) =>
    changes.filter((each) => each.isCertain || bits & (1 << uncertain.indexOf(each))),
  )
}

/** All of a file's bytes, none of those that are not certain, or half of them: for each of the files. */
function withLostBytes(names: ReadonlyMap<string, Inode>, inodes: readonly Inode[]): Disk[] {
  const named = inodes.filter((inode) => [...names.values()].includes(inode))
  let disks: Map<Inode, string>[] = [new Map()]
  for (const inode of named) {
    const { text, certain } = inode
    const lengths = new Set([
      text.length,
      Math.min(certain, text.length),
      Math.ceil((certain + text.length) / 2),
    ])
    disks = disks.flatMap((disk) =>
      [...lengths].map((length) => new Map(disk).set(inode, text.slice(0, length))),
    )
  }
  return disks.map(
    (disk) => new Map([...names].map(([path, inode]) => [path, disk.get(inode) ?? inode.text])),
  )
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}
