/**
 * The directories that a WebDAV server needs before files can be put into them (RFC 4918: 409 to a PUT, and MKCOL). Other
 * servers create them automatically.
 */
export class Collections {
  readonly #make: (name: string) => Promise<boolean>
  /** Whether each was made, or is being made. */
  readonly #made = new Map<string, Promise<boolean>>()

  /** @param make Makes a directory; false if the server doesn't. */
  constructor(make: (name: string) => Promise<boolean>) {
    this.#make = make
  }

  /** Makes the directory of a file, once. False if there is nothing to make, or it can't be made. */
  async madeFor(file: string): Promise<boolean> {
    const directory = file.slice(0, file.lastIndexOf('/') + 1)
    if (directory === '') return false
    const known = this.#made.get(directory) ?? this.#make(directory)
    this.#made.set(directory, known)
    // If the server couldn't be asked, a later attempt may reach it.
    known.catch(() => this.#made.delete(directory))
    return await known
  }
}
