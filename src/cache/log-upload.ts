import { basename } from 'node:path'
import { buildLog, LogCutOff } from '../nix/build-log.ts'
import type { Transport } from '../transport/transport.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { UploadFailure } from '../util/verdict.ts'
import { contentTypeOf } from './content-type.ts'

/** More than any log has; it is for S3, which wants to know how many parts there may be. */
const AT_MOST_BYTES = 50 * 1024 ** 3

/**
 * Sends the log of a build, if there is one here. Nobody needs it to fetch the outputs, so if it is refused, there is only
 * a warning.
 * @throws {UploadFailure} if the destination is in trouble.
 */
export async function sendLog(
  drvPath: string,
  transport: Transport,
  signal: AbortSignal,
  progress: UploadProgress,
  onWarning: (message: string) => void,
): Promise<void> {
  const name = `log/${basename(drvPath)}`
  try {
    const log = await buildLog(drvPath, signal)
    if (!log) return
    const body = Buffer.isBuffer(log) ? log : { open: log, atMost: AT_MOST_BYTES }
    await transport.put({ name, contentType: contentTypeOf(name), body }, signal, (count) => {
      progress.sentBytes += count
      progress.expectedBytes += count
    })
  } catch (error) {
    const isOptional = error instanceof LogCutOff || (error instanceof UploadFailure && error.isOfOneFile)
    if (!isOptional) throw error
    onWarning(`the log of a build could not be uploaded (${name}): ${error.message}; logs = false sends none`)
  }
}
