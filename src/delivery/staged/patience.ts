import { formatDuration } from '../../config/duration.ts'
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
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(stalled(ms)), ms)
  const both = AbortSignal.any([signal, controller.signal])
  try {
    both.throwIfAborted()
    return await run(both, () => timer.refresh())
  } catch (error) {
    both.throwIfAborted()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function stalled(ms: number): RequestFailure {
  const means =
    'the destination takes and sends nothing any more, so the request was ended: check the network and the load there'
  return new RequestFailure({ means, retry: 'soon' }, `nothing moved for ${formatDuration(ms)}`)
}
