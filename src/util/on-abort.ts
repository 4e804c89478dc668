const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls a function when a signal is aborted. It is for signals with hundreds of listeners: adding one compares it with all
 * others.
 * @returns Removes the function again.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const callbacks = waiting.get(signal) ?? listenTo(signal)
  callbacks.add(callback)
  return () => callbacks.delete(callback)
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const callbacks = new Set<() => void>()
  waiting.set(signal, callbacks)
  const callAll = () => {
    for (const callback of callbacks) callback()
  }
  signal.addEventListener('abort', callAll, { once: true })
  return callbacks
}

/**
 * Waits for something, whether it fails or not.
 * @throws The signal's reason, once that is aborted.
 */
export async function settledUnlessAborted(waiting: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const stop = onAbort(signal, () => reject(signal.reason))
    const go = () => {
      stop()
      resolve()
    }
    waiting.then(go, go)
  })
}
