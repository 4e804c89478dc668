import { formatDuration } from '../../util/duration.ts'
import { onAbort } from '../../util/on-abort.ts'
import { RequestFailure } from './request-failure.ts'

/**
 * Runs something that must show a sign of life now and then, and aborts it when it doesn't.
 * @param run Gets a signal to heed, and a function to call at each sign of life.
 * @throws {RequestFailure} where it was silent for too long; the signal's reason where that was aborted.
 */
export async function withPatience<T>(
  ms: number,
  signal: AbortSignal,
  run: (signal: AbortSignal, alive: () => void) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const either = new AbortController()
  let stop = () => {}
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<T>((resolve, reject) => {
      // Not every library lets go at once.
      const end = (reason: unknown) => {
        either.abort(reason)
        reject(reason)
      }
      const patience = setTimeout(() => end(stalled(ms)), ms)
      timer = patience
      // `AbortSignal.any` comes to the same and costs twice as much, for each of thousands of small requests.
      stop = onAbort(signal, () => end(signal.reason))
      run(either.signal, () => patience.refresh()).then(resolve, reject)
    })
  } catch (error) {
    either.signal.throwIfAborted()
    throw error
  } finally {
    clearTimeout(timer)
    stop()
  }
}

function stalled(ms: number): RequestFailure {
  const means =
    'the destination takes and sends nothing any more, so the request was ended: check the network and the load there'
  return new RequestFailure({ means, retry: 'soon' }, `nothing moved for ${formatDuration(ms)}`)
}
