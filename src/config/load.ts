import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isOpenAlready, readPlainFile } from '../util/plain-file.ts'
import { codeOf, EXIT, UserError, wordsOf } from '../util/user-error.ts'
import {
  type Config,
  DEFAULT_CONFIG_FILE,
  DEFAULTS,
  type Destination,
  embeddedDestination,
} from './config.ts'
import { withCredentials } from './credential.ts'
import { destinationOf, simpleDestination, withoutEffect } from './destination.ts'
import { namedFile, refuseRelative } from './named-paths.ts'
import { misspeltParameter } from './nix-store-parameters.ts'
import { retiredKeys } from './retired-keys.ts'
import type { ConfigFile } from './schema.ts'
import { withoutPassword } from './store-url.ts'
import { tomlProblem } from './toml-problem.ts'
import { relativeFolder, typedUrlProblem } from './typed-url.ts'

/** The options of the command line that change the configuration. */
export interface Overrides {
  /** `--config`; without it NIX_UPLOAD_CONFIG, or `/etc/nix-upload/config.toml`, which may be missing. */
  config?: string | undefined
  /** `--spool`. */
  spool?: string | undefined
  /** `--to`: this one destination instead of the configured ones. */
  to?: string | undefined
  /** `--secret-key-file`, for `--to` or the built-in default. */
  secretKeyFile?: string | undefined
}

/**
 * Makes the whole configuration. Flags come before the environment, then the file, then the defaults.
 * @param env The environment: `NIX_UPLOAD_CONFIG`, and `NIX_UPLOAD_SPOOL` and `NIX_UPLOAD_GCROOTS` as for the hook.
 * @throws {UserError} with exit code 78 that names the key, the expected value and the actual one.
 */
export async function loadConfig(
  overrides: Overrides,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Config> {
  refuseEmpty(overrides)
  const variables =
    overrides.spool === undefined ? ['NIX_UPLOAD_SPOOL', 'NIX_UPLOAD_GCROOTS'] : ['NIX_UPLOAD_GCROOTS']
  refuseRelative(env, variables)
  const named = namedFile(overrides.config, env)
  const path = resolve(named ?? DEFAULT_CONFIG_FILE)
  const text = readConfigFile(path, named !== undefined)
  const file = text === undefined ? undefined : await parseFile(text, path)
  const spool = resolve(overrides.spool ?? (env.NIX_UPLOAD_SPOOL || file?.spool || DEFAULTS.spool))
  const configured = (which: Overrides) =>
    destinationsOf(which, file, spool, path).map((destination) =>
      withCredentials(destination, env.CREDENTIALS_DIRECTORY),
    )
  const { to, secretKeyFile: _, ...withoutTo } = overrides
  const destinations = configured(overrides)
  const doubtful = destinations.flatMap((destination) => {
    const { name, to: url, command } = destination
    const ofUrl = command ? undefined : (misspeltParameter(url) ?? relativeFolder(url))
    const warnings = [...(ofUrl === undefined ? [] : [ofUrl]), ...withoutEffect(destination)]
    return warnings.map((warning) => `destination "${name}": ${warning}`)
  })
  return {
    spool,
    gcroots: env.NIX_UPLOAD_GCROOTS ?? file?.gcroots ?? DEFAULTS.gcroots,
    destinations,
    others: to === undefined || !file?.destination ? [] : configured(withoutTo),
    rescanMs: file?.['rescan-interval'] ?? DEFAULTS.rescanMs,
    stopGraceMs: file?.['stop-grace'] ?? DEFAULTS.stopGraceMs,
    keepDoneMs: file?.['keep-done'] ?? DEFAULTS.keepDoneMs,
    keepDoneCount: file?.['keep-done-count'] ?? DEFAULTS.keepDoneCount,
    logLevel: file?.['log-level'] ?? DEFAULTS.logLevel,
    ...(file?.['metrics-file'] === undefined ? {} : { metricsFile: file['metrics-file'] }),
    ...(file?.['metrics-listen'] === undefined ? {} : { metricsListen: file['metrics-listen'] }),
    packJobs: file?.['pack-jobs'] ?? DEFAULTS.packJobs,
    ...(file?.['max-rate'] === undefined ? {} : { maxRate: file['max-rate'] }),
    ...(file ? { source: path } : {}),
    warnings: [...(file ? retiredKeys(file).map((warning) => `${path}: ${warning}`) : []), ...doubtful],
  }
}

/** `--spool "$UNSET"` is a mistake, and must not mean the working directory. */
function refuseEmpty({ config, spool, secretKeyFile }: Overrides): void {
  const flags = { '--config': config, '--spool': spool, '--secret-key-file': secretKeyFile }
  for (const [flag, value] of Object.entries(flags)) {
    if (value === '') throw new UserError(`${flag}: expected a path, got ""`, EXIT.usage)
  }
}

function readConfigFile(path: string, isRequired: boolean): string | undefined {
  try {
    return isOpenAlready(path) ? readFileSync(path, 'utf8') : readPlainFile(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && !isRequired) return undefined
    throw new UserError(`can't read the configuration: ${wordsOf(error)}`, EXIT.badConfig)
  }
}

/** The libraries that read the file are loaded only if there is one. */
async function parseFile(text: string, path: string): Promise<ConfigFile> {
  const [{ parse, TomlError }, { checkFile }] = await Promise.all([
    import('smol-toml'),
    import('./schema.ts'),
  ])
  let value: unknown
  try {
    value = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    throw new UserError(
      `${path}, line ${error.line}, column ${error.column}: not TOML: ${tomlProblem(error.message)}`,
      EXIT.badConfig,
    )
  }
  const checked = checkFile(value)
  if ('file' in checked) return checked.file
  const [first, ...rest] = checked.problems
  const lines = rest.length === 0 ? ` ${first}` : checked.problems.map((problem) => `\n  ${problem}`).join('')
  throw new UserError(`${path}:${lines}`, EXIT.badConfig)
}

function destinationsOf(
  overrides: Overrides,
  file: ConfigFile | undefined,
  spool: string,
  path: string,
): Destination[] {
  const { to, secretKeyFile } = overrides
  if (to !== undefined) {
    const problem = typedUrlProblem(to)
    if (problem !== undefined)
      throw new UserError(`--to: ${problem}, got "${withoutPassword(to)}"`, EXIT.usage)
    return [simpleDestination(to, secretKeyFile)]
  }
  const sections = file?.destination ?? []
  if (sections.length === 0) return [simpleDestination(embeddedDestination(spool), secretKeyFile)]
  if (secretKeyFile !== undefined) {
    throw new UserError(
      `--secret-key-file needs --to; the destinations in ${path} have their own keys`,
      EXIT.usage,
    )
  }
  const nameless = sections.findIndex((section) => section.name === undefined)
  if (sections.length > 1 && nameless !== -1) {
    throw new UserError(
      `${path}: destination[${nameless}].name: expected a name, since there are several destinations`,
      EXIT.badConfig,
    )
  }
  const destinations = sections.map((section, index) => destinationOf(section, index, path))
  const names = destinations.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) {
    throw new UserError(
      `${path}: destination: expected different names; "${twice}" is there twice`,
      EXIT.badConfig,
    )
  }
  return destinations
}
