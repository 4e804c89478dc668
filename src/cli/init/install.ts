import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DEFAULTS, embeddedDestination } from '../../config/config.ts'
import { fileOf, schemeOf } from '../../config/store-url.ts'
import { HOOK, hookToName } from '../own-hook.ts'
import type { Settled } from './settled.ts'
import { file, link, program, type Step } from './step.ts'

const UNITS = [
  'nix-upload.service',
  'nix-upload-drain.service',
  'nix-upload-drain.path',
  'nix-upload-drain.timer',
] as const
const SERVICES = ['nix-upload.service', 'nix-upload-drain.service'] as const
const LAUNCHER = fileURLToPath(new URL('../../../bin/nix-upload', import.meta.url))
/** Where systemd looks for a program without a path. */
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** The profile of all of a machine, where Nix installs programs: what a unit names there outlives an upgrade. */
const IN_PROFILE = '/nix/var/nix/profiles/default/bin/nix-upload'

/** Debian's nix-daemon talks to its members only. */
const DEBIAN_GROUP = 'nix-users'

/** `NAME=value` lines for the service, which may be secrets. */
const ENVIRONMENT = `# The environment of nix-upload's service, NAME=value a line.
#AWS_ACCESS_KEY_ID=
#AWS_SECRET_ACCESS_KEY=
`

/** Puts hook, user and units in place. */
export function installSteps(settled: Settled): Step[] {
  const { root, hasSystemd, to } = settled
  const hook = hookToName() === HOOK ? [link(settled, '/usr/local/bin/nix-upload-hook', HOOK)] : []
  const environment = file(settled, {
    path: '/etc/nix-upload/environment',
    mode: 0o600,
    content: ENVIRONMENT,
  })
  const steps = [...hook, ...(schemeOf(to) === 's3' ? [environment] : [])]
  if (!hasSystemd) return [...steps, ...userStep(settled)]
  const isHere = root === ''
  const fragments = [
    ours(settled, '/etc/sysusers.d/nix-upload.conf', shipped('nix-upload.sysusers')),
    ...(settled.spool === DEFAULTS.spool && settled.gcroots === DEFAULTS.gcroots
      ? [ours(settled, '/etc/tmpfiles.d/nix-upload.conf', shipped('nix-upload.tmpfiles'))]
      : []),
  ]
  return [
    ...steps,
    ...fragments,
    ...(isHere ? [program(['systemd-sysusers', '/etc/sysusers.d/nix-upload.conf'])] : []),
    ...UNITS.map((unit) => ours(settled, `/etc/systemd/system/${unit}`, withProgram(shipped(unit)))),
    ...dropIns(settled),
    ...(isHere ? [program(['systemctl', 'daemon-reload'])] : []),
  ]
}

function ours(settled: Settled, path: string, content: string): Step {
  return file(settled, { path, mode: 0o644, content, isOurs: true })
}

function shipped(name: string): string {
  return readFileSync(new URL(`../../../systemd/${name}`, import.meta.url), 'utf8')
}

/** A nix-upload where systemd would not find it is named with its path, and with the Node that runs it now. */
function withProgram(unit: string): string {
  if (SYSTEM_PATH.some((place) => existsSync(join(place, 'nix-upload')))) return unit
  const isFromNix = LAUNCHER.startsWith(`${process.env.NIX_STORE_DIR ?? '/nix/store'}/`)
  const program = isFromNix && existsSync(IN_PROFILE) ? IN_PROFILE : `${process.execPath} ${LAUNCHER}`
  return unit.replace(/^ExecStart=nix-upload /m, `ExecStart=${program} `)
}

/** What the units can't know: a cache or a spool in another place, and Debian's group for who may talk to nix-daemon. */
function dropIns(settled: Settled): Step[] {
  const { directories, spool, gcroots } = settled
  const embedded = fileOf(embeddedDestination(DEFAULTS.spool))
  const writable = [
    ...directories.caches.filter((path) => path !== embedded),
    // That one is made by others, and may come later.
    ...directories.metrics.map((path) => `-${path}`),
    ...(spool === DEFAULTS.spool ? [] : [spool]),
    ...(gcroots === DEFAULTS.gcroots || gcroots === '' ? [] : [gcroots]),
  ]
  const lines = [
    ...writable.map((path) => `ReadWritePaths=${path}`),
    ...(hasGroup(DEBIAN_GROUP) ? [`SupplementaryGroups=${DEBIAN_GROUP}`] : []),
  ]
  if (lines.length === 0) return []
  const content = `# Made by \`nix-upload init\`.\n[Service]\n${lines.join('\n')}\n`
  return SERVICES.map((unit) => ours(settled, `/etc/systemd/system/${unit}.d/init.conf`, content))
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
