// A spool to run the real hook on, and shells to run it with.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, onTestFinished } from 'vitest'
import { type RunResult, runProgram } from '../support/run.ts'

export const HOOK = join(import.meta.dirname, '../../bin/nix-upload-hook')

/** A store of empty files, since the hook looks whether a path is there. It is never the machine's own. */
export const STORE = realpathSync(mkdtempSync(join(tmpdir(), 'nix-upload-store-')))
chmodSync(STORE, 0o755)
afterAll(() => rmSync(STORE, { recursive: true }))

/** Puts an empty store path there. */
export function built(name: string): string {
  const path = join(STORE, name)
  writeFileSync(path, '')
  return path
}

export const HELLO = built(`${'1'.repeat(32)}-hello-2.12.1`)
export const HELLO_DOC = built(`${'2'.repeat(32)}-hello-2.12.1-doc`)
export const HELLO_DRV = built(`${'0'.repeat(32)}-hello-2.12.1.drv`)

/** What a job of that name's file is called. */
export const JOB_OF_HELLO = /^\d{8}T\d{6}Z-[0-9a-f]{12}-hello-2\.12\.1\.json$/

/** Where the tools are, and nothing else: as nix-daemon has it on a poor day. */
const TOOLS = '/usr/bin:/bin'

export interface Shell {
  name: string
  command: string
  args: string[]
}

/** What may be a /bin/sh: dash is Debian's, and the hook is measured with it. */
export const SHELLS: Shell[] = [
  { name: 'dash', file: 'dash', args: [] },
  { name: 'bash', file: 'bash', args: ['--posix'] },
  { name: 'busybox', file: 'busybox', args: ['sh'] },
  { name: 'mksh', file: 'mksh', args: [] },
  { name: 'ksh93', file: 'ksh93', args: [] },
].map(({ name, file, args }) => {
  const command = ['/usr/bin', '/bin'].map((dir) => join(dir, file)).find((path) => existsSync(path))
  if (command === undefined) throw new Error(`no ${file} on this machine; npm test installs it`)
  return { name, command, args }
})

export interface Bed {
  dir: string
  spool: string
  gcroots: string
  /** For fakes of tools: first on the hook's PATH. */
  bin: string
}

/** An empty spool and an empty GC-root directory, which go with the test. */
export function bed(base = tmpdir()): Bed {
  const dir = realpathSync(mkdtempSync(join(base, 'nix-upload-hook-')))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  chmodSync(dir, 0o755)
  const [spool, gcroots, bin] = ['spool', 'gcroots', 'bin'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [spool, gcroots, bin]) mkdirSync(path)
  for (const name of ['tmp', 'new', 'cur', 'done', 'failed']) mkdirSync(join(spool, name))
  const here = { dir, spool, gcroots, bin }
  // Never the machine's own Nix. 127 is what a shell says of a command that is not there.
  fake(here, 'nix-store', 'exit 127')
  return here
}

/** Puts a shell script in the place of a tool. */
export function fake(bed: Bed, tool: string, script: string): void {
  const path = join(bed.bin, tool)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
}

export type Environment = Record<string, string | undefined>

/** What Nix tells the hook after a build of hello. */
export const BUILT_HELLO = { DRV_PATH: HELLO_DRV, OUT_PATHS: HELLO }

/** The hook's whole environment: `more`, where to, and the tools. */
export function environment(bed: Bed, more: Environment = BUILT_HELLO): Record<string, string> {
  const all = {
    PATH: `${bed.bin}:${TOOLS}`,
    NIX_UPLOAD_SPOOL: bed.spool,
    NIX_UPLOAD_GCROOTS: bed.gcroots,
    ...more,
  }
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

/** Runs the hook as Nix does: in /, with no stdin and with `more` in its environment; by its first line, or a shell. */
export function runHook(bed: Bed, more: Environment = BUILT_HELLO, shell?: Shell): Promise<RunResult> {
  const [command, ...args] = shell ? [shell.command, ...shell.args, HOOK] : [HOOK]
  return runProgram(command as string, args, { env: environment(bed, more), cwd: '/' })
}

/** Runs a shell script with the hook's environment, where `$HOOK` is the hook. */
export function runScript(bed: Bed, script: string, more: Environment = BUILT_HELLO): Promise<RunResult> {
  return runProgram('/bin/sh', ['-c', script], { env: { ...environment(bed, more), HOOK }, cwd: '/' })
}

/** Runs the hook under strace. */
export async function traceHook(
  bed: Bed,
  straceArgs: string[],
  more: Environment = BUILT_HELLO,
): Promise<RunResult & { trace: string }> {
  const log = join(bed.dir, 'trace')
  const args = ['-f', '-qq', '-e', 'signal=none', '-o', log, ...straceArgs, HOOK]
  const result = await runProgram('/usr/bin/strace', args, { env: environment(bed, more), cwd: '/' })
  return { ...result, trace: readFileSync(log, 'utf8') }
}

/**
 * Runs the hook among mounts of its own that are gone when it ends.
 * @param setup A script that mounts them, run as root.
 * @returns With it what lies in the spool then, as seen from among them.
 */
export async function runAmongMounts(
  bed: Bed,
  setup: string,
  more: Environment = BUILT_HELLO,
): Promise<RunResult & { tmp: string[]; new: string[]; gcroots: string[] }> {
  const script = `
    set -e
    cd "${bed.spool}"
    ${setup}
    set +e
    "${HOOK}" >"${bed.dir}/stdout"
    code=$?
    for dir in "${bed.spool}/tmp" "${bed.spool}/new" "${bed.gcroots}"; do echo "$dir:"; ls -A "$dir"; done
    exit "$code"`
  const asRoot = process.geteuid?.() === 0 ? [] : ['--map-root-user']
  const args = [...asRoot, '--mount', 'sh', '-c', script]
  const result = await runProgram('/usr/bin/unshare', args, { env: environment(bed, more), cwd: '/' })
  const listed = (dir: string): string[] => {
    const lines = result.stdout.split('\n')
    const start = lines.indexOf(`${dir}:`)
    if (start < 0) throw new Error(`It did not come to the hook: ${result.stderr}`)
    const rest = lines.slice(start + 1)
    const end = rest.findIndex((line) => line.endsWith(':'))
    return end < 0 ? rest : rest.slice(0, end)
  }
  return {
    stdout: readFileSync(join(bed.dir, 'stdout'), 'utf8').trimEnd(),
    stderr: result.stderr,
    exitCode: result.exitCode,
    tmp: listed(join(bed.spool, 'tmp')),
    new: listed(join(bed.spool, 'new')),
    gcroots: listed(bed.gcroots),
  }
}

/** Runs the hook as somebody who is not root. */
export function runUnprivileged(bed: Bed, more: Environment = BUILT_HELLO): Promise<RunResult> {
  // Where the checkout is may be root's alone.
  const hook = join(bed.dir, 'nix-upload-hook')
  writeFileSync(hook, readFileSync(HOOK))
  chmodSync(hook, 0o755)
  const become = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const [command, ...args] = process.geteuid?.() === 0 ? [...become, hook] : [hook]
  return runProgram(command as string, args, { env: environment(bed, more), cwd: '/' })
}

/** Everything that lies in the spool and among the roots. */
export function left(bed: Bed): { tmp: string[]; new: string[]; roots: Record<string, string> } {
  const roots = readdirSync(bed.gcroots).sort()
  return {
    tmp: readdirSync(join(bed.spool, 'tmp')).sort(),
    new: readdirSync(join(bed.spool, 'new')).sort(),
    roots: Object.fromEntries(roots.map((name) => [name, readlinkSync(join(bed.gcroots, name))])),
  }
}

export const NOTHING = { tmp: [], new: [], roots: {} }

/** The one job in new/: its name and content. */
export function theJob(bed: Bed): { name: string; text: string } {
  const [name, ...others] = readdirSync(join(bed.spool, 'new'))
  if (name === undefined || others.length > 0)
    throw new Error(`There are ${name ? others.length + 1 : 0} jobs`)
  return { name, text: readFileSync(join(bed.spool, 'new', name), 'utf8') }
}

/** The one line that the hook printed, on whichever of the two. */
export function theLine({ stdout, stderr }: RunResult): string {
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line !== '')
  if (lines.length !== 1) throw new Error(`There are ${lines.length} lines:\n${lines.join('\n')}`)
  return lines[0] ?? ''
}
