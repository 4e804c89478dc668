import type { NetworkSettings } from '../config/network-settings.ts'
import { NotStartedError } from '../util/run-program.ts'
import { NixFailure } from './failure.ts'
import { type Setting, settings } from './settings.ts'

/** If Nix couldn't answer, it is asked again after this long. */
const ASK_AGAIN_MS = 60_000

let asked: Promise<NetworkSettings | undefined> | undefined

/**
 * The settings that Nix would use if it uploaded as this process: nix.conf, then those of the user and the environment. Nix is
 * asked once; a change counts from the next start on, as for nix-daemon. While Nix can't answer there are no settings; the code that
 * needs Nix for other things reports why.
 */
export async function networkSettings(): Promise<NetworkSettings> {
  asked ??= rememberIfAnswered(readNetworkSettings())
  return (await asked) ?? {}
}

/** The same, asked anew; undefined if Nix can't answer. */
export async function readNetworkSettings(): Promise<NetworkSettings | undefined> {
  try {
    return fromNix(await settings('user'))
  } catch (error) {
    if (error instanceof NixFailure || error instanceof NotStartedError) return undefined
    throw error
  }
}

async function rememberIfAnswered(
  answer: Promise<NetworkSettings | undefined>,
): Promise<NetworkSettings | undefined> {
  const forget = () => {
    asked = undefined
  }
  try {
    const found = await answer
    if (found === undefined) setTimeout(forget, ASK_AGAIN_MS).unref()
    return found
  } catch (error) {
    forget()
    throw error
  }
}

function fromNix(all: ReadonlyMap<string, Setting>): NetworkSettings {
  const caFile = all.get('ssl-cert-file')?.value
  const netrcFile = all.get('netrc-file')?.value
  const seconds = changed(all.get('connect-timeout'))
  const connections = changed(all.get('http-connections'))
  return {
    ...(caFile ? { caFile } : {}),
    ...(netrcFile ? { netrcFile } : {}),
    ...(seconds === undefined ? {} : { connectTimeoutMs: seconds * 1000 }),
    ...(connections === undefined ? {} : { connections }),
  }
}

/** Nix's defaults differ between releases and are meant for downloads, so only explicit settings count. 0 is no limit. */
function changed(setting: Setting | undefined): number | undefined {
  if (setting === undefined || setting.value === setting.defaultValue) return undefined
  const value = Number(setting.value)
  return value > 0 ? value : undefined
}
