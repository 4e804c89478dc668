import type { Destination } from '../config/config.ts'
import { copy } from '../nix/nix.ts'
import type { Send } from './batch.ts'

/** How a destination is uploaded to: one `nix copy` for all the paths. */
export function senderFor(destination: Destination, signal: AbortSignal): Send {
  const { to, secretKeyFile, progressTimeoutMs } = destination
  return (paths) => copy({ paths, to, secretKeyFile, silenceMs: progressTimeoutMs, signal })
}
