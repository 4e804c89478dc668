// A process of its own that uploads one file, and once more where that fails: `node put-once.ts URL NAME FILE`. Prints how
// both went, and the most memory it had.

import { stat } from 'node:fs/promises'
import { failureOf } from '../../../src/delivery/failure.ts'
import { createTransport } from '../../../src/transport/create-transport.ts'

const [, , to = '', name = '', file = ''] = process.argv
const transport = createTransport({ to, progressTimeoutMs: 20_000 })
const { size } = await stat(file)
const never = new AbortController().signal

/** What is the matter, if something is. */
function put() {
  return transport
    .put(name, { file, size }, never, () => {})
    .then(
      () => undefined,
      (error: unknown) => failureOf(error)?.verdict,
    )
}

const verdict = await put()
const again = verdict && (await put())
transport.close()
console.log(JSON.stringify({ verdict, again, peakBytes: process.resourceUsage().maxRSS * 1024 }))
