import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NetworkSettings } from '../../config/network-settings.ts'
import { codeOf, UserError, wordsOf } from '../../util/user-error.ts'
import { findLogin } from './netrc.ts'

/** Where Nix looks unless it is told otherwise. */
function defaultNetrcFile(env: NodeJS.ProcessEnv): string {
  return join(env.NIX_CONF_DIR || '/etc/nix', 'netrc')
}

/** Who we are to a server: what its URL says, and a netrc file. */
export class HttpLogin {
  readonly #netrcFile: string | undefined
  readonly #settings: () => Promise<NetworkSettings>
  #netrc: Promise<string> | undefined
  /** What was found, by URL: a netrc file is taken to pieces once, not for each of thousands of requests. */
  readonly #found = new Map<string, string | undefined>()

  /** @param netrcFile Must be there; without it, that of Nix's settings is read, if there is one. */
  constructor(netrcFile: string | undefined, settings: () => Promise<NetworkSettings> = async () => ({})) {
    this.#netrcFile = netrcFile
    this.#settings = settings
  }

  /**
   * The Authorization header for a URL, if there is to be one.
   * @throws {UserError} where the netrc file can't be read.
   */
  async headerFor(url: URL): Promise<string | undefined> {
    if (!this.#found.has(url.href)) this.#found.set(url.href, await this.#find(url))
    return this.#found.get(url.href)
  }

  async #find(url: URL): Promise<string | undefined> {
    const user = decodeURIComponent(url.username)
    const password = decodeURIComponent(url.password)
    if (password !== '') return basic(user, password)
    this.#netrc ??= this.#read()
    const found = findLogin(await this.#netrc, url.hostname, user === '' ? undefined : user)
    if (found) return basic(found.user, found.password)
    return user === '' ? undefined : basic(user, '')
  }

  /** The server didn't know us: the file is read again the next time, because someone may mend it. */
  forget(): void {
    this.#netrc = undefined
    this.#found.clear()
  }

  async #read(): Promise<string> {
    const ofNix = async () => (await this.#settings()).netrcFile ?? defaultNetrcFile(process.env)
    const file = this.#netrcFile ?? (await ofNix())
    try {
      return await readFile(file, 'utf8')
    } catch (error) {
      // That there is none holds until the server wants to know who we are: to look before each request takes longer
      // than the rest of it.
      if (this.#netrcFile === undefined && codeOf(error) !== undefined) return ''
      this.#netrc = undefined
      throw new UserError(`netrc-file can't be read: ${wordsOf(error)}`)
    }
  }
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
