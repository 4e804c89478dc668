import { existsSync } from 'node:fs'
import { type Check, toType } from './check.ts'

const SWITCH = 'then nixos-rebuild switch'

/** What to do on NixOS, by the name of the check. There, /etc and the units are made by the machine's configuration. */
const REMEDIES: readonly (readonly [
  name: RegExp,
  states: readonly Check['state'][],
  remedy: (destination: string) => string,
])[] = [
  [/^configuration/, ['fail'], () => `Change services.nix-upload in the machine's configuration, ${SWITCH}`],
  [/^Nix$/, ['fail'], () => `The service has the Nix that nix.package is: set that, ${SWITCH}`],
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
      `Turn services.nix-upload.hook.enable on, or have a hook of your own run config.services.nix-upload.hookProgram, ${SWITCH}`,
  ],
  [
    /^trust$/,
    ['warn'],
    () => `Where this user needs it: nix.settings.trusted-users, which is as good as root, ${SWITCH}`,
  ],
  [
    /^(?:spool|GC roots)$/,
    ['fail'],
    () => toType('The module makes it. Anew, as root', 'systemd-tmpfiles --create'),
  ],
  [
    /^daemon$/,
    ['fail', 'warn'],
    () =>
      'Set services.nix-upload.enable and switch; where it is on, systemctl status nix-upload.service says why none runs',
  ],
  [
    /^nix-daemon$/,
    ['fail'],
    () =>
      `See who may (ls -ld /nix/var/nix/daemon-socket), and put the service into that group with users.users.nix-upload.extraGroups, ${SWITCH}`,
  ],
  [
    /^sandbox$/,
    ['fail'],
    () =>
      `The module allows what services.nix-upload.destinations and settings name. Beside it, set ReadWritePaths in systemd.services.nix-upload.serviceConfig, or BindPaths and ProtectHome = "tmpfs" for what is in a home directory, ${SWITCH}`,
  ],
  [
    /^metrics$/,
    ['fail'],
    () => `Give that directory to the group nix-upload with a line of systemd.tmpfiles.rules, ${SWITCH}`,
  ],
  [/^clock$/, ['fail', 'warn'], () => `Set services.timesyncd.enable or services.chrony.enable, ${SWITCH}`],
]

/** The module's own list is right, so where a directory can't be written to it is its owner that is in the way. */
const DIRECTORY =
  'The module makes a directory that is not there. One that is there keeps its owner and mode: give it to user nix-upload, or put nix-upload into its group with users.users.nix-upload.extraGroups'

/** The check with a remedy that fits the machine it was made on. */
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
