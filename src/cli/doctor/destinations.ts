import type { Destination } from '../../config/config.ts'
import { isNetworkCache, schemeOf } from '../../config/store-url.ts'
import { failureOf } from '../../delivery/failure.ts'
import { missingAt } from '../../nix/copy.ts'
import { daemonAccess } from '../../nix/daemon-socket.ts'
import { NixFailure } from '../../nix/failure.ts'
import { proxyRefusal } from '../../transport/proxy-refusal.ts'
import { wordsOf } from '../../util/user-error.ts'
import { AFTER_NIX, type Check, fail, ok, type Patient, quoted, skipped, toType } from './check.ts'
import { probeDirectory, probeProgram } from './local-places.ts'
import { PATIENCE_MS, probeCache } from './network-cache.ts'
import { withReport } from './reported.ts'

/**
 * Does each destination answer, know us, and take what we upload? Nothing stays there of the question. What the daemon
 * found comes first: one that is down for it is not well, whatever it answers to us.
 */
export async function checkDestinations(patient: Patient): Promise<Check[]> {
  const { config, service } = patient
  const checks = await Promise.all(
    config.destinations.map(async (destination) => {
      const [first, ...rest] = await checkOne(patient, destination)
      return first ? [withReport(first, destination, service), ...rest] : rest
    }),
  )
  return checks.flat()
}

async function checkOne({ storeDir, service }: Patient, destination: Destination): Promise<Check[]> {
  const { to, command, via } = destination
  const name = `destination ${destination.name}`
  const user = service.user.name
  try {
    if (command) return [probeProgram(name, command.argv[0])]
    if (schemeOf(to) === 'file') return [probeDirectory(name, to, user)]
    if (via === 'nix' || !isNetworkCache(to)) await askNix(destination, storeDir)
    // What Nix uploads to is asked as we would ask, too, which tells more, unless only Nix gets there.
    const isReached = via === 'writer' || proxyRefusal(to) === undefined
    if (isNetworkCache(to) && isReached) return await probeCache(name, destination, storeDir, user)
    return [ok(name, `answers ${user}`)]
  } catch (error) {
    if (error instanceof NixFailure && ['closed', 'dead'].includes(await daemonAccess())) {
      return [skipped(name, "Nix asks it, and Nix itself can't be asked", AFTER_NIX)]
    }
    const message = failureOf(error)?.verdict.message ?? wordsOf(error)
    return [fail(name, `${to}: ${message}`, remedyOf(error, destination, user))]
  }
}

/** What only Nix can talk to is asked whether it has a path that nobody has. */
async function askNix({ to, netrcFile }: Destination, storeDir: string): Promise<void> {
  const nobodys = `${storeDir}/${'0'.repeat(32)}-nix-upload-doctor`
  const store = { to, netrcFile, silenceMs: PATIENCE_MS }
  await missingAt(store, [nobodys], AbortSignal.timeout(3 * PATIENCE_MS))
}

/** Nix's own command is named only where Nix itself was asked, and knows such a store. */
function remedyOf(error: unknown, { to, via }: Destination, user: string): string {
  if (!(error instanceof NixFailure)) return 'Mend that, then run doctor again'
  if (/know how to open Nix store/i.test(error.message)) {
    const leave = via === 'nix' ? 'Leave via = "nix" out: nix-upload itself can. Or i' : 'I'
    return `${leave}nstall a Nix that can talk to ${schemeOf(to)}://`
  }
  const ping = `runuser -u ${user} -- nix --extra-experimental-features nix-command store ping --store ${quoted(to)}`
  return toType('Mend that; the same by hand, as root', ping)
}
