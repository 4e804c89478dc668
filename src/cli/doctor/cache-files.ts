import { readFileSync } from 'node:fs'
import type { Destination } from '../../config/config.ts'
import { schemeOf } from '../../config/store-url.ts'
import { UserError, wordsOf } from '../../config/user-error.ts'
import type { Transport } from '../../delivery/staged/transport.ts'

/** A network cache as the files it consists of, for a look at one of them. */
export type CacheFiles = Pick<Transport, 'get' | 'put'> & {
  /** Takes a file away again; that it can't be is no error. */
  remove(name: string, signal: AbortSignal): Promise<void>
}

/** What a server's answer means to who set it up. */
const MEANINGS: Readonly<Record<number, string>> = {
  401: 'it does not know us: check the login (netrc-file)',
  403: 'it does not let us: check the login (netrc-file) and its rights',
  404: 'it knows no such place: check the path in the URL',
  405: 'it takes no uploads: it must allow PUT (dav_methods PUT in nginx)',
  501: 'it takes no uploads: it must allow PUT',
  507: 'its disk is full',
}

/** The files of a destination that plain requests reach; undefined for any other. */
export function filesOf({ to, netrcFile }: Destination): CacheFiles | undefined {
  if (!/^https?$/.test(schemeOf(to))) return undefined
  const base = to.replace(/[?#].*$/, '').replace(/\/?$/, '/')
  const headers = authorization(new URL(base), netrcFile)
  const request = async (method: string, name: string, signal: AbortSignal, body?: string) => {
    const options = { method, headers, signal, ...(body === undefined ? {} : { body }) }
    try {
      return await fetch(new URL(name, withoutUser(base)), options)
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
      throw new UserError(`it does not answer: ${wordsOf(cause)}`)
    }
  }
  return {
    get: async (name, signal) => {
      const response = await request('GET', name, signal)
      if (response.status === 404) return undefined
      return refused(response, `GET ${name}`) ?? response.text()
    },
    put: async (name, body, signal) => {
      if (!('text' in body)) throw new UserError('only a text is sent from here')
      const response = await request('PUT', name, signal, body.text)
      refused(response, `PUT ${name}`)
    },
    remove: async (name, signal) => {
      await request('DELETE', name, signal)
    },
  }
}

function refused(response: Response, what: string): undefined {
  if (response.ok) return undefined
  const meaning = MEANINGS[response.status] ?? 'look into the log of that server'
  throw new UserError(`${meaning}; it says to ${what}: ${response.status} ${response.statusText}`)
}

function withoutUser(base: string): string {
  return base.replace(/^(https?:\/\/)[^/@]*@/, '$1')
}

/** What Nix and curl read in a netrc file: the login of the host, or the default one. */
function authorization({ hostname, username }: URL, netrcFile: string | undefined): Record<string, string> {
  if (netrcFile === undefined) return {}
  const words = readFileSync(netrcFile, 'utf8').match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []
  const entries = words
    .join(' ')
    .split(/(?:^| )(?=machine |default(?: |$))/)
    .map((entry) => ({
      host: /^machine (\S+)/.exec(entry)?.[1],
      login: fieldOf(entry, 'login'),
      password: fieldOf(entry, 'password'),
    }))
  const entry =
    entries.find(({ host }) => host === hostname) ?? entries.find(({ host }) => host === undefined)
  if (!entry || entry.password === '') return {}
  const credentials = Buffer.from(`${username || entry.login}:${entry.password}`).toString('base64')
  return { authorization: `Basic ${credentials}` }
}

function fieldOf(entry: string, key: string): string {
  const [, value = ''] = new RegExp(`(?:^| )${key} ("(?:[^"\\\\]|\\\\.)*"|\\S+)`).exec(entry) ?? []
  return value.replace(/^"(.*)"$/, '$1').replaceAll(/\\(.)/g, '$1')
}
