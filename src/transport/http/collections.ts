/**
 * The directories that a WebDAV server wants to be made before there can be files in them (RFC 4918: 409 to a PUT, and MKCOL). Other
 * servers make them unasked.
 */
export class Collections {
  readonly #make: (name: string) => Promise<boolean>
  /** Whether each was made, or is being made. */
  readonly #made = new Map<string, Promise<boolean>>()

  /** @param make Makes a directory; false where the server doesn't. */
  constructor(make: (name: string) => Promise<boolean>) {
    this.#make = make
  }

  /** Has the directory of a file made, once. False where there is nothing to be made, or it can't be. */
  async madeFor(file: string): Promise<boolean> {
    const directory = file.slice(0, file.lastIndexOf('/') + 1)
    if (directory === '') return false
    const known = this.#made.get(directory) ?? this.#make(directory)
    this.#made.set(directory, known)
    // Where nobody could be asked, somebody else may be.
    known.catch(() => this.#made.delete(directory))
    return await known
  }
}
