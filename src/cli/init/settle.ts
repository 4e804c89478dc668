import { existsSync, realpathSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Config, DEFAULT_CONFIG_FILE, DEFAULTS, embeddedDestination } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { loadConfig } from '../../config/load.ts'
import { isNoFile, namedFile } from '../../config/named-paths.ts'
import { keyFilesIn } from '../../config/store-parameters.ts'
import { withoutPassword } from '../../config/store-url.ts'
import { typedUrlProblem } from '../../config/typed-url.ts'
import { installedUnit } from '../../daemon/unit-files.ts'
import { isKeyName } from '../../nix/key-pair.ts'
import { EXIT, UserError } from '../../util/user-error.ts'
import { userName } from '../../util/user-name.ts'
import { findUser } from '../user.ts'
import { type Answers, ask, keyNameFor } from './answers.ts'
import type { Asker } from './asker.ts'
import { refuseContradiction } from './contradiction.ts'
import type { InitOptions } from './init-options.ts'
import { ownProgram, serviceProgram } from './service-program.ts'
import { localDirectory, type Settled, writtenTo } from './settled.ts'

const SERVICE_USER = 'nix-upload'
const SERVICE = 'nix-upload.service'

/**
 * Settles all that init has to know, and collects remarks for the user.
 * @param asker Asks for the missing answers, if there is a terminal.
 */
export async function settle(
  args: InitOptions,
  asker: Asker | undefined,
): Promise<{ settled: Settled; notes: string[]; wasAsked: boolean }> {
  refuseWrong(args)
  const root = args.root === undefined ? '' : resolve(args.root)
  const configFile = resolve(namedFile(args.config) ?? DEFAULT_CONFIG_FILE)
  if (isNoFile(join(root, configFile)))
    throw new UserError(
      `${configFile} is no file, so no configuration can be there: use --config FILE`,
      EXIT.usage,
    )
  const present = await presentConfig(join(root, configFile))
  const isNixOs = existsSync(join(root, '/etc/NIXOS'))
  const isModuleOn = isNixOs && isInStore(join(root, configFile))
  const hasSystemd = root !== '' || existsSync('/run/systemd/system')
  const spool =
    args.spool !== undefined
      ? resolve(args.spool)
      : process.env.NIX_UPLOAD_SPOOL || present?.spool || DEFAULTS.spool
  const gcroots = process.env.NIX_UPLOAD_GCROOTS ?? present?.gcroots ?? DEFAULTS.gcroots
  if (present && !isModuleOn) refuseContradiction(args, { configFile, present, spool, gcroots })
  const { answers, wasAsked } = await answersFor(args, asker, present, spool, hasSystemd && !isNixOs)
  const install = answers.install && !isNixOs
  // The units read no other configuration.
  const isInstalled =
    hasSystemd && configFile === DEFAULT_CONFIG_FILE && installedUnit(SERVICE, root) !== undefined
  const notes = [
    ...(isNixOs && !isModuleOn && args.install
      ? ['this is NixOS, so nothing is installed: the module does that']
      : []),
    ...(isInstalled && !install && !isNixOs
      ? [
          'the units are installed already, and are kept as they are; `nix-upload init --install` adapts them to this configuration and version',
        ]
      : []),
  ]
  const [destination] = present?.destinations ?? []
  const key = present ? keyIn(present) : newKey(args, answers, configFile)
  const settled: Settled = {
    root,
    to: destination?.to ?? answers.to,
    name: destination?.name ?? 'cache',
    key,
    isSigned:
      key !== undefined || destination?.secretKeyFile !== undefined || keyFilesIn(answers.to).length > 0,
    configFile,
    directories: present
      ? writtenTo(present)
      : { caches: [localDirectory(answers.to) ?? []].flat(), metrics: [] },
    spool,
    gcroots,
    user: await serviceUser(args.user, answers.install),
    install,
    program: install && hasSystemd && root === '' ? await serviceProgram() : ownProgram(),
    isNixOs,
    isModuleOn,
    hasSystemd,
    hasService: isInstalled || (install && hasSystemd),
  }
  return { settled, notes, wasAsked }
}

function refuseWrong({ to, install, config, 'key-name': keyName, root, user }: InitOptions): void {
  const problem = to === undefined ? undefined : typedUrlProblem(to)
  if (problem !== undefined)
    throw new UserError(`--to: ${problem}, got "${withoutPassword(to ?? '')}"`, EXIT.usage)
  if (keyName !== undefined && !isKeyName(keyName)) {
    throw new UserError(`--key-name: expected a name without spaces and colons, got "${keyName}"`, EXIT.usage)
  }
  if (install && resolve(namedFile(config) ?? DEFAULT_CONFIG_FILE) !== DEFAULT_CONFIG_FILE) {
    throw new UserError(
      `--install: the units read ${DEFAULT_CONFIG_FILE}, so no other --config or NIX_UPLOAD_CONFIG is possible`,
      EXIT.usage,
    )
  }
  if (install && root === undefined && process.getuid?.() !== 0) {
    throw new UserError(
      '--install writes to the system, so root must run it: sudo nix-upload init --install',
      EXIT.usage,
    )
  }
  if (install && user !== undefined && user !== SERVICE_USER) {
    throw new UserError(
      `--install: the units run as ${SERVICE_USER}, so no other --user is possible`,
      EXIT.usage,
    )
  }
}

/** The module's file is a link into the store. */
function isInStore(file: string): boolean {
  return existsSync(file) && realpathSync(file).startsWith(`${process.env.NIX_STORE_DIR ?? '/nix/store'}/`)
}

function presentConfig(file: string): Promise<Config | undefined> {
  return existsSync(file) ? loadConfig({ config: file }, {}) : Promise.resolve(undefined)
}

async function answersFor(
  args: InitOptions,
  asker: Asker | undefined,
  present: Config | undefined,
  spool: string,
  canInstall: boolean,
): Promise<{ answers: Answers; wasAsked: boolean }> {
  const { to, sign, install } = args
  const isRoot = process.getuid?.() === 0
  const defaults = { to: embeddedDestination(spool), sign: true, install: isRoot && canInstall }
  const known = {
    to: to ?? present?.destinations[0]?.to,
    sign: sign ?? (args['secret-key-file'] !== undefined || present ? true : unlessSigned(to)),
    keyName:
      args['key-name'] ??
      (present || args['secret-key-file'] !== undefined ? keyNameFor(to ?? '') : undefined),
    install: install ?? (defaults.install && args.root === undefined ? undefined : false),
  }
  const isComplete = Object.values(known).every((value) => value !== undefined)
  if (asker && !isComplete) {
    return { answers: await ask(asker, known, defaults), wasAsked: true }
  }
  if (known.to === undefined && !args.yes) {
    throw new UserError(`the destination is missing: use --to URL, or --yes for ${defaults.to}`, EXIT.usage)
  }
  const url = known.to ?? defaults.to
  const answers = {
    to: url,
    sign: known.sign ?? true,
    keyName: known.keyName ?? keyNameFor(url),
    install: install ?? false,
  }
  return { answers, wasAsked: false }
}

/** If the URL names keys, no other is needed. */
function unlessSigned(to: string | undefined): false | undefined {
  return keyFilesIn(to ?? '').length > 0 ? false : undefined
}

function newKey(args: InitOptions, { sign, keyName }: Answers, configFile: string): Settled['key'] {
  if (!sign) return undefined
  const given = args['secret-key-file']
  const secretKeyFile = given === undefined ? join(dirname(configFile), 'cache.key') : resolve(given)
  return {
    name: keyName,
    secretKeyFile,
    publicKeyFile: `${secretKeyFile.replace(/\.(key|private|secret)$/, '')}.pub`,
  }
}

/** The key of a configuration, if it is a file. A credential is the unit's business. */
function keyIn({ destinations }: Config): Settled['key'] {
  const file = destinations[0]?.secretKeyFile
  if (file === undefined || isCredential(file)) return undefined
  return {
    name: keyNameFor(destinations[0]?.to ?? ''),
    secretKeyFile: file,
    publicKeyFile: `${file.replace(/\.(key|private|secret)$/, '')}.pub`,
  }
}

async function serviceUser(asked: string | undefined, install: boolean): Promise<string> {
  if (asked !== undefined) return asked
  if (process.getuid?.() !== 0) return userName()
  return install || (await findUser(SERVICE_USER)) ? SERVICE_USER : userName()
}
