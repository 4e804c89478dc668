// A process of its own that uploads one file, of which nobody is told how long it is: `node put-once.ts URL NAME FILE`.
// Prints how it went, and the most memory it had.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createTransport } from '../../../src/transport/create-transport.ts'
import { UploadFailure } from '../../../src/util/verdict.ts'

const [, , to = '', name = '', file = ''] = process.argv
const transport = createTransport({ to, progressTimeoutMs: 20_000 })
const { size } = await stat(file)
const body = { atMost: size, open: () => createReadStream(file) }
const never = new AbortController().signal
const verdict = await transport
  .put({ name, contentType: 'x/y', body }, never, () => {})
  .then(
    () => undefined,
    (error: unknown) => (error instanceof UploadFailure ? error.verdict : String(error)),
  )
transport.close()
console.log(JSON.stringify({ verdict, peakBytes: process.resourceUsage().maxRSS * 1024 }))
