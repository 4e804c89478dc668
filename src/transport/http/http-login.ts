import { join } from 'node:path'
import type { NetworkSettings } from '../../config/network-settings.ts'
import { readPlainFile } from '../../util/plain-file.ts'
import { UserError, wordsOf } from '../../util/user-error.ts'
import { findLogin } from './netrc.ts'

/** Where Nix looks by default. */
function defaultNetrcFile(env: NodeJS.ProcessEnv): string {
  return join(env.NIX_CONF_DIR || '/etc/nix', 'netrc')
}

/** Our login for a server, from its URL or a netrc file. */
export class HttpLogin {
  readonly #netrcFile: string | undefined
  readonly #settings: () => Promise<NetworkSettings>
  #netrc: Promise<string> | undefined
  /** The result, by URL: a netrc file is parsed once, not for each of thousands of requests. */
  readonly #found = new Map<string, string | undefined>()

  /** @param netrcFile Must exist; if not given, the one of Nix's settings is read, if there is one. */
  constructor(netrcFile: string | undefined, settings: () => Promise<NetworkSettings> = async () => ({})) {
    this.#netrcFile = netrcFile
    this.#settings = settings
  }

  /**
   * The Authorization header for a URL, if it needs one.
   * @throws {UserError} if the netrc file can't be read.
   */
  async headerFor(url: URL): Promise<string | undefined> {
    if (!this.#found.has(url.href)) this.#found.set(url.href, await this.#find(url))
    return this.#found.get(url.href)
  }

  /**
   * The Authorization header for a host that the server redirects to: only if a netrc file names that host.
   * @throws {UserError} if the netrc file can't be read.
   */
  async headerForTarget({ origin, hostname }: URL): Promise<string | undefined> {
    if (!this.#found.has(origin)) {
      this.#netrc ??= this.#read()
      const found = findLogin(await this.#netrc, hostname, undefined, false)
      this.#found.set(origin, found && basic(found.user, found.password))
    }
    return this.#found.get(origin)
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

  /** The server refused our login: the file is read again next time, because someone may correct it. */
  forget(): void {
    this.#netrc = undefined
    this.#found.clear()
  }

  async #read(): Promise<string> {
    const ofNix = async () => (await this.#settings()).netrcFile ?? defaultNetrcFile(process.env)
    const file = this.#netrcFile ?? (await ofNix())
    try {
      return readPlainFile(file)
    } catch (error) {
      // A missing file is not looked for again until the server asks for a login: looking before each request would take
      // longer than the rest of it.
      if (this.#netrcFile === undefined) return ''
      this.#netrc = undefined
      throw new UserError(`netrc-file can't be read: ${wordsOf(error)}`)
    }
  }
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
