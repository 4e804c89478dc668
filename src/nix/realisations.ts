import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, sep } from 'node:path'
import { judge } from './blame.ts'
import { makeCacheHome, removeCacheHome } from './cache-home.ts'
import { NIX_QUIETLY, type RemoteStore, runRemote } from './copy.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import type { FloatingOutputs } from './floating-outputs.ts'
import { QUERY_TIMEOUT_MS } from './local-store.ts'
import { findSaying, WOULD_BUILD } from './said.ts'
import { uploadUrl } from './upload-url.ts'

/** By derivation: Nix's message if it has no realisations of its outputs, or can't copy them. */
export type Unrealised = ReadonlyMap<string, string>

/** If Nix has no realisation, it would start a build. */
const BUILD_NOTHING = ['--max-jobs', '0', '--option', 'builders', '']

/**
 * Uploads realisations to another store that has the outputs already.
 * @throws {NixFailure} if the other store is to blame.
 */
export async function copyRealisations(
  store: RemoteStore,
  outputs: readonly FloatingOutputs[],
  signal: AbortSignal,
): Promise<Unrealised> {
  try {
    await copyAll(store, outputs, signal)
    return new Map()
  } catch (error) {
    if (!(error instanceof NixFailure) || error.ended !== undefined) throw error
    const { blame, message } = judge(error.messages)
    // If it printed nothing, it was killed.
    if (blame === 'destination' || error.messages.length === 0) throw error
    const isOfAll = outputs.length === 1 || !error.messages.some((said) => isOfOne(said, outputs))
    if (isOfAll) return new Map(outputs.map(({ drvPath }) => [drvPath, message]))
  }
  // A realisation that Nix doesn't know fails the copy of all.
  const middle = Math.ceil(outputs.length / 2)
  const first = await copyRealisations(store, outputs.slice(0, middle), signal)
  const second = await copyRealisations(store, outputs.slice(middle), signal)
  return new Map([...first, ...second])
}

/** Whether a message is about a single derivation: it names one, or Nix wanted to build one without naming it. */
function isOfOne(message: string, outputs: readonly FloatingOutputs[]): boolean {
  if (findSaying(WOULD_BUILD, message)) return true
  const names = outputs.flatMap(({ drvPath, paths }) => [drvPath, ...paths.values()])
  return names.some((path) => message.includes(basename(path)))
}

async function copyAll(
  store: RemoteStore,
  outputs: readonly FloatingOutputs[],
  signal: AbortSignal,
): Promise<void> {
  if (outputs.length === 0) return
  const features = ['--extra-experimental-features', 'ca-derivations']
  const installables = outputs.map(({ drvPath, paths }) => `${drvPath}^${[...paths.keys()].join(',')}`)
  const args = [...NIX_QUIETLY, ...features, 'copy', '--no-recursive', ...BUILD_NOTHING]
  unlessFailed(await runRemote('nix', store, [...args, '--to', uploadUrl(store), ...installables], signal))
}

/**
 * The files of realisations for a binary cache, in the form of the local Nix, with all realisations that they depend on. No
 * command prints them, and their form changes, so Nix itself writes them into a cache in a temporary directory.
 * @param narinfos By file name, for each output: so Nix finds the outputs in that cache, and packs none.
 * @returns The files, by their names in a cache.
 */
export async function exportRealisations(
  outputs: readonly FloatingOutputs[],
  narinfos: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<{ files: ReadonlyMap<string, string>; unrealised: Unrealised }> {
  const directory = makeCacheHome()
  try {
    for (const [name, text] of narinfos) writeFileSync(join(directory, name), text)
    const store = { to: `file://${directory}`, silenceMs: QUERY_TIMEOUT_MS }
    const unrealised = await copyRealisations(store, outputs, signal)
    const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    const written = names.filter((name) => name.endsWith('.doi'))
    const files = written.map((name) => [
      name.replaceAll(sep, '/'),
      readFileSync(join(directory, name), 'utf8'),
    ])
    return { files: new Map(files.map(([name = '', text = '']) => [name, text])), unrealised }
  } finally {
    await removeCacheHome(directory)
  }
}
