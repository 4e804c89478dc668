import { isBinaryCache } from '../../config/store-url.ts'
import { nixVersion } from '../../nix/local-store.ts'
import { NotStartedError } from '../../util/run-program.ts'
import { type Check, fail, inUnit, ok, type Patient, warn } from './check.ts'

const NAME = 'Nix'
/** `nix copy` exists since 2.4; releases before 2.8 are untested. */
const OLDEST = [2, 4] as const
const OLDEST_TESTED = [2, 8] as const

/** Is there a Nix on the service's PATH, and can it do what the destinations need? */
export async function checkNix({ config, service }: Patient): Promise<Check[]> {
  try {
    const version = await nixVersion()
    const numbers = /(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? []
    const is = (than: readonly [number, number]) => isOlder(numbers, than)
    if (is(OLDEST)) {
      return [fail(NAME, `${version} is too old`, 'Install Nix 2.8 or newer')]
    }
    if (is(OLDEST_TESTED)) {
      return [warn(NAME, `${version}, which is untested`, 'Nix 2.8 and newer are tested')]
    }
    const signsLocally = config.destinations.filter(
      ({ to, secretKeyFile, command }) => secretKeyFile !== undefined && !command && !isBinaryCache(to),
    )
    const [first] = signsLocally
    if (first && is([2, 9]) && service.user.uid !== 0) {
      const what = `${version}: ${service.user.name} may sign for ${first.name} only if nix-daemon trusts that user`
      const remedy = `Add "extra-trusted-users = ${service.user.name}" to nix.conf, or use a newer Nix`
      return [warn(NAME, what, remedy)]
    }
    return [ok(NAME, version)]
  } catch (error) {
    if (!(error instanceof NotStartedError)) throw error
    const path = 'Environment=PATH=/nix/var/nix/profiles/default/bin:/usr/local/bin:/usr/bin:/bin'
    const remedy = inUnit('Install Nix, or put its directory on the PATH of the service', path)
    return [fail(NAME, `${error.message} of ${service.user.name}, which is ${process.env.PATH}`, remedy)]
  }
}

function isOlder([major = 0, minor = 0]: readonly number[], than: readonly [number, number]): boolean {
  return major < than[0] || (major === than[0] && minor < than[1])
}
