// An S3 that knows uploads in parts and no signatures, and does with each request what a test wants.

import type { ServerResponse } from 'node:http'
import { type Asked, type FakeServer, fakeServer } from '../fake-server.ts'
import { errorXml } from './s3-bed.ts'

/** What a request is about. */
export type Step = 'begin' | 'part' | 'end' | 'give up' | 'whole' | 'look'

/** @returns True where it has answered by itself. */
export type Interfering = (step: Step, asked: Asked, response: ServerResponse) => boolean | Promise<boolean>

export interface FakeParts extends FakeServer {
  /** Of the bucket. */
  s3: string
  /** What was uploaded, by its key. */
  objects: Map<string, Buffer>
  /** Uploads that were begun and neither ended nor given up. */
  open: Map<string, Map<number, Buffer>>
  /** The steps so far. */
  steps: Step[]
}

export async function fakeParts(interfere: Interfering = () => false): Promise<FakeParts> {
  const objects = new Map<string, Buffer>()
  const open = new Map<string, Map<number, Buffer>>()
  const steps: Step[] = []
  const server = await fakeServer(async (asked, response) => {
    const url = new URL(asked.url, 'http://s3')
    const key = url.pathname.replace('/cache/', '')
    const id = url.searchParams.get('uploadId') ?? ''
    const step = stepOf(asked.method, url.searchParams)
    steps.push(step)
    if (await interfere(step, asked, response)) return
    const parts = open.get(id)
    if (step === 'begin') {
      const uploadId = `upload-${steps.length}`
      open.set(uploadId, new Map())
      response.end(`<R><UploadId>${uploadId}</UploadId></R>`)
    } else if (step === 'whole') {
      objects.set(key, asked.body)
      response.end()
    } else if (step === 'look') {
      const found = objects.get(key)
      response.writeHead(found ? 200 : 404, { 'content-length': String(found?.length ?? 0) }).end()
    } else if (!parts) response.writeHead(404).end(errorXml('NoSuchUpload'))
    else if (step === 'part') {
      const number = Number(url.searchParams.get('partNumber'))
      parts.set(number, asked.body)
      response.writeHead(200, { etag: `"tag-${number}"` }).end()
    } else {
      open.delete(id)
      if (step === 'end') objects.set(key, joined(asked, parts))
      response.end('<CompleteMultipartUploadResult/>')
    }
  })
  return Object.assign(server, { objects, open, steps, s3: `s3://cache?endpoint=${server.url}` })
}

function stepOf(method: string, query: URLSearchParams): Step {
  if (method === 'POST') return query.has('uploads') ? 'begin' : 'end'
  if (method === 'PUT') return query.has('partNumber') ? 'part' : 'whole'
  return method === 'DELETE' ? 'give up' : 'look'
}

/** In the order that the request names. */
function joined({ body }: Asked, parts: ReadonlyMap<number, Buffer>): Buffer {
  const named = [
    ...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>"tag-(\d+)"<\/ETag>/g),
  ].map(([, number, tag]) => (number === tag ? Number(number) : Number.NaN))
  return Buffer.concat(named.map((number) => parts.get(number) ?? Buffer.from('no such part')))
}
