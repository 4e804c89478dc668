import type { Readable } from 'node:stream'

/** What a server answered, whole. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: Buffer
}

/** No file that is fetched here is larger: narinfos and the like. */
export const MOST_BYTES = 1024 * 1024

/** The headers of an answer as Node's clients give them, by their names in small letters. */
export function headersOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Answer['headers'] {
  const flat: Answer['headers'] = {}
  for (const [name, value] of Object.entries(headers)) {
    // If a header that should be single is repeated, Node's own client takes the first one.
    const first = Array.isArray(value) ? value[0] : value
    if (first !== undefined) flat[name] = first
  }
  return flat
}

/** The body of an answer as it comes in. */
export class BoundedBody {
  readonly #chunks: Buffer[] = []
  #size = 0

  /** @returns An error once it is too large. */
  add(bytes: Buffer): Error | undefined {
    this.#size += bytes.length
    if (this.#size > MOST_BYTES) return tooLarge()
    this.#chunks.push(bytes)
    return undefined
  }

  whole(): Buffer {
    return Buffer.concat(this.#chunks)
  }
}

/**
 * Reads the body of an answer by its events, since iterating over a stream takes longer than a small answer.
 */
export function collect(body: Readable): Promise<Buffer> {
  const collected = new BoundedBody()
  body.on('data', (bytes: Buffer) => {
    const error = collected.add(bytes)
    if (error) body.destroy(error)
  })
  return new Promise((resolve, reject) => {
    const cut = () => {
      if (body.readableEnded) return
      const error = new Error('the answer was cut short')
      reject(body.errored ?? Object.assign(error, { code: 'ECONNRESET' }))
    }
    body.once('end', () => resolve(collected.whole()))
    body.once('error', reject)
    body.once('close', cut)
    // It may have been, while the body was still on its way.
    if (body.destroyed) cut()
  })
}

function tooLarge(): Error {
  return Object.assign(new Error(`the answer is larger than ${MOST_BYTES} bytes`), { code: 'EMSGSIZE' })
}
