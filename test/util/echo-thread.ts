// A thread that does what it is told, for the tests of threads.

import { setTimeout as sleep } from 'node:timers/promises'
import { serveCalls } from '../../src/util/thread-server.ts'

export type EchoCall =
  | { kind: 'echo'; text: string; afterMs?: number }
  | { kind: 'turn' }
  | { kind: 'throw'; message: string }
  | { kind: 'stream'; chunks: number; bytes: number }
  | { kind: 'hang' }
  | { kind: 'sent' }
  | { kind: 'exit' }

export type EchoReply = string | number

/** How often messages came in. */
let turns = 0
let isCounted = false
/** How many chunks of the last stream were sent. */
let sent = 0
let hanging = 'nobody waits'

serveCalls<EchoCall, EchoReply>((call, context) => {
  if (!isCounted) {
    turns++
    isCounted = true
    setImmediate(() => {
      isCounted = false
    })
  }
  switch (call.kind) {
    case 'echo':
      return call.afterMs === undefined ? call.text : sleep(call.afterMs, call.text)
    case 'turn':
      return turns
    case 'throw':
      throw Object.assign(new RangeError(call.message), { code: 'ECODE', path: '/path' })
    case 'stream':
      return stream(call, context)
    case 'hang':
      hanging = 'waits'
      return new Promise(() => {
        context.signal.addEventListener('abort', () => {
          hanging = 'was cancelled'
        })
      })
    case 'sent':
      return `${sent} ${hanging}`
    case 'exit':
      process.exit(3)
  }
})

async function stream(
  { chunks, bytes }: { chunks: number; bytes: number },
  { send }: { send: (bytes: Uint8Array<ArrayBuffer>) => Promise<void> | undefined },
): Promise<number> {
  for (sent = 0; sent < chunks; sent++) await send(new Uint8Array(bytes).fill(sent))
  return chunks
}
