// Runs a program and lets something happen to it at a certain system call, with strace's injection.
//
// Only calls that touch given paths are counted, so that N means the same call in each run: not one of the thousands
// that Node makes for itself. strace compares paths as a whole, so temporary files get names that are known
// beforehand (proof-1, proof-2, …; in a cache NAME.000000000000-0, …) from a module that Node loads first, in each of its
// threads; that is all that is different from the program as it is shipped. strace counts for each thread by itself, hence `UV_THREADPOOL_SIZE=1`, and each kind of
// call by itself, so a point is "the third rename". strace also follows symlinks, so with a GC root the store path counts
// that it leads to, and with it what the threads do that pack: by then the main thread has made more calls of each kind
// than one of those makes.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type RunResult, runProgram } from '../support/run.ts'

/** What changes something, or reads what is decided by. */
const CHANGING = [
  '?open,openat,?creat,write,pwrite64,ftruncate,fsync,fdatasync,?rename,?renameat,renameat2,?link,linkat,?symlink',
  'symlinkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,?utimes,utimensat,close,read,pread64,getdents64',
].join(',')
/** What only looks: it can't leave anything behind, but it can fail. */
export const SETS = { kill: CHANGING, error: `${CHANGING},statx,newfstatat,?lstat,?stat,?fstat` }

/** How many temporary files of a run have names known beforehand, in the spool and in a cache. */
const TEMPORARIES = 80
const CACHE_TEMPORARIES = 24

export interface Injection {
  /** The kind of call, or several, each of which is counted by itself. */
  set: string
  /** What happens: `signal=SIGKILL`, `error=EIO`. */
  what: string
  /** At which call: `3`, or `3+` for that one and all after it. */
  when: string
}

/** The nth call of its kind. */
export interface Point {
  kind: string
  nth: number
}

/** The points of a run, in its order. */
export function pointsOf(calls: readonly string[]): Point[] {
  const seen = new Map<string, number>()
  return calls.map((call) => {
    const kind = call.slice(0, call.indexOf('('))
    const nth = (seen.get(kind) ?? 0) + 1
    seen.set(kind, nth)
    return { kind, nth }
  })
}

export interface Program {
  command: string
  args: readonly string[]
  env: Record<string, string>
  input?: string
  /** Only calls on these paths count. */
  paths: readonly string[]
  /** For files of this module. */
  dir: string
}

export interface Traced extends RunResult {
  /** The calls of each thread, that of `main` first. */
  calls: string[][]
  /** Whether it came to the call at which something should happen. */
  isHit: boolean
}

/** The points of each thread of a run, each point once: what happens there happens to whoever comes to it first. */
export function pointsOfAll(threads: readonly string[][]): Point[] {
  const points = threads.flatMap((calls) => pointsOf(calls))
  return [...new Map(points.map((point) => [`${point.kind} ${point.nth}`, point])).values()]
}

/** The paths in a spool's tmp/ that a traced program writes to. */
export function temporariesIn(tmp: string): string[] {
  return Array.from({ length: TEMPORARIES }, (_, at) => join(tmp, `proof-${at + 1}`))
}

/** The paths that a traced program writes to before a file comes in its place in a `file://` cache. */
export function temporariesOf(file: string): string[] {
  const path = join(dirname(file), `.nix-upload-tmp/${basename(file)}.000000000000`)
  return [path, ...Array.from({ length: CACHE_TEMPORARIES }, (_, at) => `${path}-${at}`)]
}

export async function runTraced(program: Program, set: string, injection?: Injection): Promise<Traced> {
  const log = join(program.dir, 'trace')
  rmSync(log, { force: true })
  const args = [
    // The kernel then stops the program at these calls alone, not at each of its thousands. strace 6.1 sends no signals so.
    ...(injection?.what.startsWith('signal=') ? [] : ['--seccomp-bpf']),
    ...['-f', '-e', 'quiet=all', '-s', '200', '-o', log, '-e', `trace=${set}`],
    ...program.paths.flatMap((path) => ['-P', path]),
    ...(injection ? ['-e', `inject=${injection.set}:${injection.what}:when=${injection.when}`] : []),
    ...[program.command, ...program.args],
  ]
  const env = { ...program.env, ...deterministic(program.dir) }
  const options = {
    env,
    cwd: '/',
    timeout: 40_000,
    ...(program.input === undefined ? {} : { input: program.input }),
  }
  const result = await runProgram('/usr/bin/strace', args, options)
  const trace = existsSync(log) ? readFileSync(log, 'utf8') : ''
  const isKilled = injection?.what.includes('SIGKILL') === true && result.exitCode === 137
  return { ...result, calls: callsOf(trace), isHit: isKilled || trace.includes('(INJECTED)') }
}

/** The environment that makes two runs alike. */
function deterministic(dir: string): Record<string, string> {
  const module = join(dir, 'names.mjs')
  if (!existsSync(module)) {
    writeFileSync(
      module,
      `import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { isMainThread } from 'node:worker_threads'
let count = 0
crypto.randomUUID = () => \`proof-\${++count}\`
if (!isMainThread) crypto.randomBytes = (size) => Buffer.alloc(size)
syncBuiltinESMExports()
`,
    )
  }
  return { NODE_OPTIONS: `--import ${module}`, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' }
}

function callsOf(trace: string): string[][] {
  const byThread = new Map<string, string[]>()
  for (const line of trace.split('\n')) {
    const [, thread = '', call] = /^(\d+) +(\w+\(.*)$/.exec(line) ?? []
    if (call === undefined) continue
    const calls = byThread.get(thread) ?? []
    byThread.set(thread, calls)
    calls.push(call)
  }
  return [...byThread.values()]
}
