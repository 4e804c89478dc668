import { isObject } from '../util/is-object.ts'
import { type RunResult, run } from '../util/run-program.ts'
import { NIX_ENABLED, type RemoteStore, runRemote } from './copy.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import { messagesOf } from './messages.ts'

/** What Nix knows about a path in the local store. */
export interface PathInfo {
  path: string
  deriver?: string
  /** True if it was built here and not copied or substituted from elsewhere. */
  ultimate: boolean
  /** When it came into this store. */
  registeredAt: Date
}

/** Nix 2.34 recommends this flag and says that it will be required one day; before 2.33, and in Lix, it doesn't exist. */
const FORMAT = ['--json-format', '1']

/**
 * All paths of the local store.
 * @throws {NixFailure} if Nix couldn't tell.
 */
export async function allPathInfos(): Promise<PathInfo[]> {
  const entries = await query((args) =>
    // A store of a hundred thousand paths is 50 MB of JSON.
    run('nix', [...args, '--all'], { stdoutMax: 1 << 30 }),
  )
  return entries.flatMap(([path, info]) => infoOf(path, info) ?? [])
}

/**
 * Tells which paths of another store have no signature at all.
 * @param paths Valid there.
 * @throws {NixFailure} if it can't be asked.
 */
export async function unsignedAt(
  store: RemoteStore,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const entries = await query((args) =>
    runRemote('nix', store, [...args, '--store', store.to, ...paths], signal),
  )
  return entries.flatMap(([path, info]) => {
    const isSigned = isObject(info) && Array.isArray(info.signatures) && info.signatures.length > 0
    return typeof path === 'string' && !isSigned ? [path] : []
  })
}

async function query(
  ask: (args: readonly string[]) => Promise<RunResult>,
): Promise<[path: unknown, info: unknown][]> {
  const args = [...NIX_ENABLED, 'path-info', '--json']
  let result = await ask([...args, ...FORMAT])
  if (result.exitCode !== 0 && !result.ended) result = await ask(args)
  return entriesOf(JSON.parse(unlessFailed(result).stdout))
}

/** Up to 2.18 and in Lix an array of objects with a `path`, later an object by path. */
function entriesOf(value: unknown): [path: unknown, info: unknown][] {
  if (Array.isArray(value))
    return value.map((info: unknown) => [isObject(info) ? info.path : undefined, info])
  if (isObject(value)) return Object.entries(value)
  throw new NixFailure(messagesOf(['`nix path-info --json` printed something unknown']), undefined)
}

function infoOf(path: unknown, info: unknown): PathInfo | undefined {
  if (typeof path !== 'string' || !isObject(info)) return undefined
  const { deriver, ultimate, registrationTime } = info
  return {
    path,
    ...(typeof deriver === 'string' ? { deriver } : {}),
    ultimate: ultimate === true,
    registeredAt: new Date(typeof registrationTime === 'number' ? registrationTime * 1000 : 0),
  }
}
