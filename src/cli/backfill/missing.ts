import { narinfoName, parseNarInfo } from '../../cache/narinfo.ts'
import type { Config, Destination } from '../../config/config.ts'
import { missingAt } from '../../nix/copy.ts'
import { networkSettings } from '../../nix/network-settings.ts'
import { createTransport } from '../../transport/create-transport.ts'
import { forEachAtOnce } from '../../util/busy-limit.ts'
import { partsOf } from '../../util/parts.ts'
import { wordsOf } from '../../util/user-error.ts'
import { printable, say } from '../print.ts'

/** Nix asks another store for this many paths at once. */
const CHUNK = 500

/**
 * The paths that some destination lacks. A destination that can't be asked, such as a user's program, counts as lacking all.
 * @param paths Store paths.
 */
export async function missingSomewhere(config: Config, paths: readonly string[]): Promise<Set<string>> {
  const missing = new Set<string>()
  for (const destination of config.destinations) {
    const lacking = await lackingAt(destination, paths)
    for (const path of lacking) missing.add(path)
  }
  return missing
}

async function lackingAt(destination: Destination, paths: readonly string[]): Promise<Iterable<string>> {
  const { name, command, via } = destination
  if (command) return paths
  try {
    return via === 'writer'
      ? await lackingInCache(destination, paths)
      : await lackingInStore(destination, paths)
  } catch (error) {
    const why = printable(wordsOf(error))
    say(`nix-upload: ${name} can't be asked for its paths, so all are queued: ${why}`)
    return paths
  }
}

/** Caches are asked by our own code: not every Nix can use S3, and it sends one request after the other. */
async function lackingInCache(
  { to, netrcFile, progressTimeoutMs }: Destination,
  paths: readonly string[],
): Promise<string[]> {
  const options = { to, netrcFile, network: networkSettings, progressTimeoutMs, onWarning: () => {} }
  const transport = createTransport(options)
  const lacking: string[] = []
  try {
    await forEachAtOnce(paths, new AbortController().signal, async (path, signal) => {
      const info = parseNarInfo((await transport.get(narinfoName(path), signal)) ?? '')
      if (!info) lacking.push(path)
    })
    return lacking
  } finally {
    transport.close()
  }
}

async function lackingInStore(
  { to, netrcFile, progressTimeoutMs }: Destination,
  paths: readonly string[],
): Promise<Set<string>> {
  const lacking = new Set<string>()
  for (const part of partsOf(paths, CHUNK)) {
    const store = { to, netrcFile, silenceMs: progressTimeoutMs }
    const found = await missingAt(store, part, new AbortController().signal)
    for (const path of found) lacking.add(path)
  }
  return lacking
}
