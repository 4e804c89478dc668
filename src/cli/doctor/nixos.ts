import { existsSync } from 'node:fs'
import { type Check, toType } from './check.ts'

const SWITCH = 'then nixos-rebuild switch'

/** The remedies on NixOS, by the name of the check. There, the machine's configuration makes /etc and the units. */
const REMEDIES: readonly (readonly [
  name: RegExp,
  states: readonly Check['state'][],
  remedy: (destination: string) => string,
])[] = [
  [/^configuration/, ['fail'], () => `Change services.nix-upload in the machine's configuration, ${SWITCH}`],
  [/^Nix$/, ['fail'], () => `The service uses nix.package: set that, ${SWITCH}`],
  [
    /^key of (.*)$/,
    ['fail', 'warn'],
    (name) =>
      `Set services.nix-upload.destinations.${name}.secretKeyFile to the path of a key that root can read, ${SWITCH}`,
  ],
  [
    /^login of (.*)$/,
    ['fail'],
    (name) =>
      `Set services.nix-upload.destinations.${name}.netrcFile to the path of a file that root can read, ${SWITCH}`,
  ],
  [
    /^hook$/,
    ['fail'],
    () =>
      `Set services.nix-upload.hook.enable, or let your own hook run config.services.nix-upload.hookProgram, ${SWITCH}`,
  ],
  [/^setup$/, ['fail'], () => `Set services.nix-upload.enable, ${SWITCH}`],
  [
    /^trust$/,
    ['warn'],
    () => `If this user needs it: nix.settings.trusted-users, which gives the rights of root, ${SWITCH}`,
  ],
  [
    /^(?:spool|GC roots)$/,
    ['fail'],
    () => toType('The module creates it. To create it again, as root', 'systemd-tmpfiles --create'),
  ],
  [
    /^daemon$/,
    ['fail', 'warn'],
    () =>
      'Set services.nix-upload.enable and switch; if it is set, systemctl status nix-upload.service says why none is running',
  ],
  [
    /^nix-daemon$/,
    ['fail'],
    () =>
      `See who may connect (ls -ld /nix/var/nix/daemon-socket), and put the service into that group with users.users.nix-upload.extraGroups, ${SWITCH}`,
  ],
  [
    /^sandbox$/,
    ['fail'],
    () =>
      `The module allows the paths in services.nix-upload.destinations and settings. For others, set ReadWritePaths in systemd.services.nix-upload.serviceConfig, or BindPaths and ProtectHome = "tmpfs" for paths in a home directory, ${SWITCH}`,
  ],
  [
    /^metrics$/,
    ['fail'],
    () => `Give that directory to the group nix-upload with a line of systemd.tmpfiles.rules, ${SWITCH}`,
  ],
  [/^clock$/, ['fail', 'warn'], () => `Set services.timesyncd.enable or services.chrony.enable, ${SWITCH}`],
]

/** The module's list is right. So if a directory can't be written to, its owner is the reason. */
const DIRECTORY =
  'The module creates missing directories. An existing one keeps its owner and mode: give it to user nix-upload, or put nix-upload into its group with users.users.nix-upload.extraGroups'

/** The check with a remedy for this machine. */
export function withRemedyForHere(check: Check): Check {
  if (!existsSync('/etc/NIXOS') || check.remedy === undefined) return check
  if (/^ {4}(?:chown -R|install -d) /m.test(check.remedy) && check.name.startsWith('destination ')) {
    return { ...check, remedy: DIRECTORY }
  }
  for (const [name, states, remedy] of REMEDIES) {
    const match = name.exec(check.name)
    if (match && states.includes(check.state)) return { ...check, remedy: remedy(match[1] ?? '') }
  }
  return check
}
