import { lstatSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { ArgumentsCamelCase, Argv } from 'yargs'
import { GcRoots } from '../nix/gc-roots.ts'
import { splitStorePath } from '../nix/store-path.ts'
import { openSpool } from '../spool/layout.ts'
import { codeOf, EXIT, UserError, wordsOf } from '../util/user-error.ts'
import { type CommonOptions, configFor, STDIN, withCommon } from './options.ts'
import { asOwner } from './owner.ts'
import { print, printable, say } from './print.ts'
import { AT_ONCE, queue } from './queue.ts'

export const command = 'enqueue <path..>'
export const describe = 'Queue store paths by hand'

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .positional('path', {
      type: 'string',
      array: true,
      demandOption: true,
      describe:
        'Store paths, or symlinks into the store such as ./result; - reads them from stdin, one per line',
    })
    .example('$0 enqueue ./result', 'Queue what nix-build has just built')
    .example('nix-store -qR ./result | $0 enqueue -', 'Queue a closure, one job for each path')

export async function handler(args: ArgumentsCamelCase<CommonOptions & { path: string[] }>): Promise<void> {
  const config = await configFor(args)
  const { storeDirectory } = await import('../nix/local-store.ts')
  const storeDir = await storeDirectory()
  const roots = new GcRoots(config.gcroots)
  let rootsError = tryToPrepare(roots)
  const spool = asOwner(config.spool, () => openSpool(config.spool))
  let chunk: string[] = []
  let queued = 0
  const flush = async () => {
    const jobs = chunk.map((path) => ({ outPaths: [path] }))
    const handed = await queue(spool, roots, jobs)
    rootsError ??= handed.rootsError
    queued += handed.names.length
    chunk = []
    await print(handed.names.map((name) => `${name}\n`).join(''))
  }
  for await (const given of pathsGiven(args.path)) {
    const path = storePathOf(given, storeDir)
    if (path === undefined) continue
    chunk.push(path)
    if (chunk.length === AT_ONCE) await flush()
  }
  if (chunk.length > 0) await flush()
  if (rootsError !== undefined && queued > 0) {
    const why = printable(wordsOf(rootsError))
    say(`nix-upload: queued, but without GC roots the paths may be collected before the upload: ${why}`)
  }
}

function tryToPrepare(roots: GcRoots): unknown {
  try {
    roots.prepare()
    return undefined
  } catch (error) {
    return error
  }
}

async function* pathsGiven(paths: readonly string[]): AsyncGenerator<string> {
  for (const path of paths) {
    if (path !== STDIN) yield path
    else
      for await (const line of createInterface({ input: process.stdin }))
        if (line.trim() !== '') yield line.trim()
  }
}

/** The store path that a file is in. If there is none, this is reported and the command fails, but the other paths are queued. */
function storePathOf(given: string, storeDir: string): string | undefined {
  try {
    return storePath(given, storeDir)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    say(`nix-upload: ${printable(error.message)}`)
    process.exitCode = EXIT.failed
    return undefined
  }
}

function storePath(given: string, storeDir: string): string {
  const absolute = resolve(given)
  let path = topOf(absolute, storeDir)
  try {
    if (path === undefined) path = topOf(realpathSync(absolute), storeDir)
    else lstatSync(path)
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'there is no such file' : wordsOf(error)
    throw new UserError(`not queued: ${given}: ${why}`)
  }
  if (path === undefined || !splitStorePath(path, storeDir)) {
    throw new UserError(
      `not queued: ${given} is not a store path, and not a link to one such as ./result (the store is ${storeDir})`,
    )
  }
  return path
}

/** `/nix/store/HASH-NAME` of `/nix/store/HASH-NAME/bin/x`. */
function topOf(path: string, storeDir: string): string | undefined {
  if (!path.startsWith(`${storeDir}/`)) return undefined
  return `${storeDir}/${path.slice(storeDir.length + 1).split('/')[0]}`
}
