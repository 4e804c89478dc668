import { ignoresHook, withHook } from '../../nix/hook-setting.ts'
import { userName } from '../../util/user-name.ts'
import { type Check, ok, warn } from './check.ts'

/** Whether Nix would run a hook on the command line, as `exec` needs it, for this user. */
export async function checkTrust(): Promise<Check[]> {
  const name = 'trust'
  const user = userName()
  if (!(await ignoresHook(withHook('/nonexistent', process.env.NIX_CONFIG)))) {
    return [ok(name, `Nix takes a hook on the command line, and so \`nix-upload exec\`, from ${user}`)]
  }
  const what = `nix-daemon ignores --option post-build-hook from ${user}, so \`nix-upload exec\` refuses to start; the hook in nix.conf is still run`
  return [
    warn(
      name,
      what,
      `If ${user} needs it: "extra-trusted-users = ${user}" in nix.conf, which gives the rights of root`,
    ),
  ]
}
