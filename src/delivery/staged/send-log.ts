import { statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { logInto } from '../../nix/stage.ts'
import type { Progress } from '../route.ts'
import type { ScratchSpace } from './scratch.ts'
import type { Transport } from './transport.ts'

/**
 * Sends the log of a build, if there is one here.
 * @throws {NixFailure | SendFailure} where it can't be had or sent.
 */
export async function sendLog(
  drvPath: string,
  { scratch, transport }: { scratch: ScratchSpace; transport: Transport },
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  await scratch.use(async (cache) => {
    if (!(await logInto(cache, drvPath, signal))) return
    const name = `log/${basename(drvPath)}`
    const file = join(cache.directory, name)
    const { size } = statSync(file)
    progress.expectedBytes += size
    await transport.put(name, { file, size }, signal, (count) => {
      progress.sentBytes += count
    })
  })
}
