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
 * Does each destination answer, and may we upload? The checks leave nothing behind. The daemon's own result comes first: a
 * destination that is down for the daemon is not well, whatever it answers here.
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
    // A destination that Nix uploads to is also asked by our own code, which tells more, unless only Nix can reach it.
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

/** If only Nix can reach the destination, it is asked for a path that doesn't exist. */
async function askNix({ to, netrcFile }: Destination, storeDir: string): Promise<void> {
  const nobodys = `${storeDir}/${'0'.repeat(32)}-nix-upload-doctor`
  const store = { to, netrcFile, silenceMs: PATIENCE_MS }
  await missingAt(store, [nobodys], AbortSignal.timeout(3 * PATIENCE_MS))
}

/** The remedy has Nix's command only if Nix was asked, and knows this kind of store. */
function remedyOf(error: unknown, { to, via }: Destination, user: string): string {
  if (!(error instanceof NixFailure)) return 'Fix that, then run doctor again'
  if (/know how to open Nix store/i.test(error.message)) {
    const leave = via === 'nix' ? 'Remove via = "nix": nix-upload itself can. Or i' : 'I'
    return `${leave}nstall a Nix that can talk to ${schemeOf(to)}://`
  }
  const ping = `runuser -u ${user} -- nix --extra-experimental-features nix-command store ping --store ${quoted(to)}`
  return toType('Fix that; to try it by hand, as root', ping)
}
