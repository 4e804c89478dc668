import { type FloatingOutputs, floatingOutputsOf } from '../nix/floating-outputs.ts'
import type { Unrealised } from '../nix/realisations.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import type { Uploader } from './uploader.ts'

/** A job in a batch. */
interface Sent {
  note?: string
  /** Those of its paths that are found by their realisations. */
  floating: readonly FloatingOutputs[]
}

/**
 * Finds those of a job's paths that are outputs of content-addressed derivations: of the derivation that the job names, and of
 * those that the store names.
 * @param objects What the store says of the paths.
 */
export function floatingIn(
  drvPath: string | undefined,
  paths: readonly string[],
  objects: ReadonlyMap<string, StoreObject>,
): FloatingOutputs[] {
  const found = paths.flatMap((path) => objects.get(path) ?? [])
  // Files that were added and fixed outputs have such an address, too.
  const addressed = found.filter(({ contentAddress }) => contentAddress !== '')
  if (addressed.length === 0) return []
  const drvPaths = new Set([drvPath, ...addressed.map(({ deriver }) => deriver)])
  return [...drvPaths].flatMap((one) => {
    if (one === undefined) return []
    // One output's name may be the beginning of another's: `hello-2` and `hello-2-tests`.
    const own = addressed.filter(({ deriver }) => one === drvPath || deriver === one)
    return (
      floatingOutputsOf(
        one,
        own.map(({ path }) => path),
      ) ?? []
    )
  })
}

/**
 * Sends the realisations of paths that are at the destination.
 * @throws As `Uploader.send` does.
 */
export async function sendRealisations(
  items: readonly Sent[],
  uploader: Uploader,
  signal: AbortSignal,
  progress: UploadProgress,
): Promise<Unrealised> {
  const all = Map.groupBy(
    items.flatMap(({ floating }) => floating),
    ({ drvPath }) => drvPath,
  )
  if (all.size === 0) return new Map()
  // Several jobs may have outputs of the same derivation.
  const outputs = [...all].map(([drvPath, some]) => ({
    drvPath,
    paths: new Map(some.flatMap(({ paths }) => [...paths])),
  }))
  if (uploader.sendRealisations) return await uploader.sendRealisations(outputs, signal, progress)
  return new Map(outputs.map(({ drvPath }) => [drvPath, 'this kind of destination takes paths only']))
}

/** The note of a delivered job: which of its paths stayed here, and which arrived without their realisation. */
export function noteOnDelivery({ note, floating }: Sent, unrealised: Unrealised): string | undefined {
  // With 2.26, one path is an output of two derivations: the evaluated one, and the one with its inputs' paths resolved.
  const reasons = new Map<string, string>()
  for (const { drvPath, paths } of floating) {
    const why = unrealised.get(drvPath)
    if (why !== undefined) reasons.set([...paths.values()].join(' '), why)
  }
  const without = [...reasons].map(
    ([paths, why]) =>
      `no realisation went along: ${paths} (${why}), so other machines can't find it by its derivation`,
  )
  const notes = [...(note === undefined ? [] : [note]), ...without]
  return notes.length === 0 ? undefined : notes.join('; ')
}
