import { setTimeout as sleep } from 'node:timers/promises'
import type { Destination } from '../config/config.ts'
import type { FloatingOutputs } from '../nix/floating-outputs.ts'
import { exportRealisations, type Unrealised } from '../nix/realisations.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { StoreSession } from '../nix/store-session.ts'
import type { Transport } from '../transport/transport.ts'
import { forEachAtOnce } from '../util/busy-limit.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { UploadFailure } from '../util/verdict.ts'
import { contentTypeOf } from './content-type.ts'
import { keysOf } from './keys.ts'
import { narinfoName, narinfoOf } from './narinfo.ts'
import { noCacheFile, quoted } from './odd-answer.ts'
import { WAITS_MS } from './read-back.ts'
import { parseRealisation, type Realisation, signed, textOf } from './realisation.ts'

/** What realisations are uploaded with. */
export interface RealisationContext {
  store: StoreSession
  transport: Transport
  destination: Destination
  progress: UploadProgress
  /** Called with facts that are no failure but should be known. */
  onWarning: (message: string, path?: string) => void
}

/**
 * Uploads the realisations of outputs that the cache has already, with all realisations that they depend on.
 * @throws {UploadFailure} if the cache doesn't take them.
 */
export async function sendRealisations(
  outputs: readonly FloatingOutputs[],
  context: RealisationContext,
  signal: AbortSignal,
): Promise<Unrealised> {
  const paths = outputs.flatMap((one) => [...one.paths.values()])
  const objects = await context.store.objects(paths, signal)
  const narinfos = new Map(objects.map((object) => [narinfoName(object.path), placeholder(object)]))
  const keys = keysOf(context.destination)
  const { files, unrealised } = await exportRealisations(outputs, narinfos, signal)
  await forEachAtOnce([...files], signal, async ([name, text], either) => {
    const realisation = parseRealisation(name, text)
    if (!realisation) throw new Error(`Nix wrote a realisation that can't be read: ${text.slice(0, 500)}`)
    await sendOne(signed(realisation, keys), context, either)
  })
  return unrealised
}

/** Nix only wants to know that the path is there. */
function placeholder(object: StoreObject): string {
  const { narHash: fileHash, narSize: fileSize } = object
  return narinfoOf(object, { name: 'nar/elsewhere.nar', compression: 'none', fileHash, fileSize }, [])
}

async function sendOne(
  realisation: Realisation,
  { transport, destination, progress, onWarning }: RealisationContext,
  signal: AbortSignal,
): Promise<void> {
  const { name, outPath } = realisation
  const there = await look(name, transport, signal)
  const isOther = there !== undefined && there.outPath !== outPath
  if (isOther && (await transport.head(narinfoName(there.outPath), signal))) {
    // Two builds had different outputs, and other builds rely on the first.
    onWarning(`the cache has another output of the same derivation, ${there.outPath}, and keeps it`, outPath)
    return
  }
  const before = isOther ? undefined : there
  const signatures = [...new Set([...(before?.signatures ?? []), ...realisation.signatures])].sort()
  if (before?.signatures.length === signatures.length) return
  const text = textOf({ ...realisation, signatures })
  try {
    const body = Buffer.from(text)
    await transport.put({ name, contentType: contentTypeOf(name), body }, signal, (count) => {
      progress.sentBytes += count
      progress.expectedBytes += count
    })
  } catch (error) {
    if (!(error instanceof UploadFailure) || !error.isOfOneFile) throw error
    // The server refuses to overwrite a file.
    if (before && !error.isTrouble) {
      onWarning(
        `the realisation that was there before stays without our signature: ${error.verdict.message}`,
        outPath,
      )
      return
    }
    const message = `${error.verdict.message} (${name}, the realisation of ${outPath})`
    throw new UploadFailure({ ...error.verdict, message }, error)
  }
  if (destination.verify) await readBack(name, text, transport, signal)
}

async function look(
  name: string,
  transport: Transport,
  signal: AbortSignal,
): Promise<Realisation | undefined> {
  const text = await transport.get(name, signal)
  if (text === undefined) return undefined
  const realisation = parseRealisation(name, text)
  // A file damaged by a power cut is written again.
  if (realisation || /^\0*$|^\{/.test(text)) return realisation
  throw noCacheFile(name, quoted(text))
}

async function readBack(
  name: string,
  text: string,
  transport: Transport,
  signal: AbortSignal,
): Promise<void> {
  for (const waitMs of [0, ...WAITS_MS]) {
    await sleep(waitMs, undefined, { signal })
    if ((await transport.get(name, signal)) === text) return
  }
  const message = `uploaded, and the server said so, but it does not have ${name}`
  throw new UploadFailure({ blame: 'destination', permanent: false, message })
}
