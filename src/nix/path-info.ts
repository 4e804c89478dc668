import { isObject } from '../util/is-object.ts'
import { run } from '../util/run-program.ts'
import { NIX_ENABLED } from './copy.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import { messagesOf } from './messages.ts'

/** What Nix knows of a store path in the local store. */
export interface PathInfo {
  path: string
  deriver?: string
  /** True where it was built here and not copied or substituted from elsewhere. */
  ultimate: boolean
  /** When it came into this store. */
  registeredAt: Date
}

/** Nix 2.34 asks for it and wants to insist on it one day; before 2.33, and in Lix, there is no such flag. */
const FORMAT = ['--json-format', '1']

/**
 * Everything that is in the local store.
 * @throws {NixFailure} where Nix couldn't tell.
 */
export async function allPathInfos(): Promise<PathInfo[]> {
  const ask = (format: readonly string[]) =>
    // A store of a hundred thousand paths is 50 MB of JSON.
    run('nix', [...NIX_ENABLED, 'path-info', '--json', ...format, '--all'], { stdoutMax: 1 << 30 })
  let result = await ask(FORMAT)
  if (result.exitCode !== 0) result = await ask([])
  const value: unknown = JSON.parse(unlessFailed(result).stdout)
  return entriesOf(value).flatMap(([path, info]) => infoOf(path, info) ?? [])
}

/** Up to 2.18 and in Lix an array of objects with a `path`, later an object by path. */
function entriesOf(value: unknown): [unknown, unknown][] {
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
