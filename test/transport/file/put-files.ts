// A process of its own that uploads files to a directory, all at once, one in ten as a stream:
// `node put-files.ts URL COUNT BYTES ROUNDS`. Each holds its name again and again. Prints a line when it begins to write, and at
// the end what became of it.

import { FileTransport } from '../../../src/transport/file/file-transport.ts'
import { UploadFailure } from '../../../src/util/verdict.ts'

const [, , to = '', count = '', size = '', rounds = ''] = process.argv
const transport = new FileTransport({ to, progressTimeoutMs: 20_000 })
const never = new AbortController().signal

function bodyOf(name: string, isStream: boolean) {
  const bytes = Buffer.alloc(Number(size), name)
  if (!isStream) return bytes
  return {
    atMost: bytes.length,
    async *open() {
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
    },
  }
}

const failures: UploadFailure[] = []
console.log('begins')
for (let round = 0; round < Number(rounds); round++) {
  const uploads = Array.from({ length: Number(count) }, async (_, at) => {
    const name = `nar/${round}-${at}`
    try {
      await transport.put({ name, contentType: 'x/y', body: bodyOf(name, at % 10 === 1) }, never, () => {})
    } catch (error) {
      if (!(error instanceof UploadFailure)) throw error
      failures.push(error)
    }
  })
  await Promise.all(uploads)
}
transport.close()
const [first] = failures
console.log(
  JSON.stringify({ failed: failures.length, verdict: first?.verdict, isOfOneFile: first?.isOfOneFile }),
)
