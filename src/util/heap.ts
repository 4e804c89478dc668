import { setFlagsFromString } from 'node:v8'

/** By how much the heap grows, in hundredths of what is in use, before V8 looks for garbage. */
const GROWTH = 50

/**
 * Has V8 look for garbage early. By itself it lets the heap of a program that uses 30 MB come to 140 before it looks for the
 * first time.
 */
export function collectGarbageEarly(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`)
}
