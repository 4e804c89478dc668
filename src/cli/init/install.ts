import { existsSync, readFileSync } from 'node:fs'
import { DEFAULTS, embeddedDestination } from '../../config/config.ts'
import { fileOf, schemeOf } from '../../config/store-url.ts'
import { ENVIRONMENT_FILE } from '../../util/unit.ts'
import { HOMES, isBelow, showing, TEMPORARY } from '../unit-sandbox.ts'
import { removal } from './removal.ts'
import type { Settled } from './settled.ts'
import { file, program, type Step } from './step.ts'

export const UNITS = [
  'nix-upload.service',
  'nix-upload-drain.service',
  'nix-upload-drain.path',
  'nix-upload-drain.timer',
] as const
const SERVICES = ['nix-upload.service', 'nix-upload-drain.service'] as const
/** The directory of an administrator's units; packages have another one. */
export const UNIT_DIRECTORY = '/etc/systemd/system'
const SYSUSERS = '/etc/sysusers.d/nix-upload.conf'
const TMPFILES = '/etc/tmpfiles.d/nix-upload.conf'
/** The units that `init --install` writes if there is no package. */
export const INSTALLED_FILES = [SYSUSERS, TMPFILES, ...UNITS.map((unit) => `${UNIT_DIRECTORY}/${unit}`)]
/** Other files that it writes. */
export const DROP_INS = SERVICES.map((unit) => `${UNIT_DIRECTORY}/${unit}.d/init.conf`)
/** Debian's nix-daemon accepts only its members. */
const DEBIAN_GROUP = 'nix-users'

const ENVIRONMENT = `# The environment of nix-upload's service: NAME=value, one per line.
#AWS_ACCESS_KEY_ID=
#AWS_SECRET_ACCESS_KEY=
`

/** Creates the user and installs the units. */
export function installSteps(settled: Settled): Step[] {
  const { root, hasSystemd, to } = settled
  const environment = file(settled, {
    path: ENVIRONMENT_FILE,
    mode: 0o600,
    content: ENVIRONMENT,
  })
  const steps = schemeOf(to) === 's3' ? [environment] : []
  if (!hasSystemd) return [...steps, ...userStep(settled)]
  return [
    ...steps,
    ...(settled.program.isPackaged ? unshadowingSteps(settled) : unitSteps(settled)),
    ...dropIns(settled),
    ...(root === '' ? [program(['systemctl', 'daemon-reload'])] : []),
  ]
}

/** A package contains all of this. Units that `init` wrote before would hide those of the package. */
function unshadowingSteps(settled: Settled): Step[] {
  return INSTALLED_FILES.filter((path) => existsSync(path)).map((path) => removal(settled, path))
}

function unitSteps(settled: Settled): Step[] {
  const { root, program: own } = settled
  const fragments = [
    ours(settled, SYSUSERS, shipped('nix-upload.sysusers')),
    ...(settled.spool === DEFAULTS.spool && settled.gcroots === DEFAULTS.gcroots
      ? [ours(settled, TMPFILES, shipped('nix-upload.tmpfiles'))]
      : []),
  ]
  const unitText = (unit: string) =>
    shipped(unit).replace(/^ExecStart=nix-upload /m, `ExecStart=${own.command} `)
  return [
    ...fragments,
    ...(root === '' ? [program(['systemd-sysusers', SYSUSERS])] : []),
    ...UNITS.map((unit) => ours(settled, `${UNIT_DIRECTORY}/${unit}`, unitText(unit))),
  ]
}

function ours(settled: Settled, path: string, content: string): Step {
  return file(settled, { path, mode: 0o644, content, isOurs: true })
}

function shipped(name: string): string {
  return readFileSync(new URL(`../../../systemd/${name}`, import.meta.url), 'utf8')
}

/** Settings of this machine: a cache or a spool in another place, and Debian's group of nix-daemon. */
function dropIns(settled: Settled): Step[] {
  const { directories, spool, gcroots } = settled
  const embedded = fileOf(embeddedDestination(DEFAULTS.spool))
  const writable = [
    ...directories.caches.filter((path) => path !== embedded),
    // That directory is created by others, and may come later.
    ...directories.metrics.map((path) => `-${path}`),
    ...(spool === DEFAULTS.spool ? [] : [spool]),
    ...(gcroots === DEFAULTS.gcroots || gcroots === '' ? [] : [gcroots]),
  ]
  const isHidden = (path: string) => isBelow(path, [...HOMES, ...TEMPORARY])
  const read = settled.key && isHidden(settled.key.secretKeyFile) ? [settled.key.secretKeyFile] : []
  const lines = [
    ...writable.map((path) => `ReadWritePaths=${path}`),
    ...showing(writable.map((path) => path.replace(/^-/, '')).filter(isHidden), read),
    ...(hasGroup(DEBIAN_GROUP) ? [`SupplementaryGroups=${DEBIAN_GROUP}`] : []),
  ]
  if (lines.length === 0) return []
  const content = `# Made by \`nix-upload init\`.\n[Service]\n${lines.join('\n')}\n`
  return DROP_INS.map((path) => ours(settled, path, content))
}

function hasGroup(name: string): boolean {
  return existsSync('/etc/group') && new RegExp(`^${name}:`, 'm').test(readFileSync('/etc/group', 'utf8'))
}

function userStep({ root, user }: Settled): Step[] {
  const isThere = new RegExp(`^${user}:`, 'm').test(readFileSync('/etc/passwd', 'utf8'))
  if (root !== '' || isThere) return []
  return [
    program([
      'useradd',
      '--system',
      '--user-group',
      '--create-home',
      '--home-dir',
      '/var/lib/nix-upload',
      ...(hasGroup(DEBIAN_GROUP) ? ['--groups', DEBIAN_GROUP] : []),
      user,
    ]),
  ]
}
