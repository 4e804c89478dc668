/**
 * Notices that we may write to a place but not read it. Without the right to list a bucket, a GET of a missing file is refused, so a
 * refused GET alone proves nothing; but a file that we have just uploaded must be readable.
 */
export class ReadRights {
  readonly #onWarning: (message: string) => void
  #state: 'unknown' | 'in doubt' | 'known' | 'write-only' = 'unknown'

  constructor(onWarning: (message: string) => void = () => {}) {
    this.#onWarning = onWarning
  }

  /** Whether we found that we may write, but not read. */
  get areWriteOnly(): boolean {
    return this.#state === 'write-only'
  }

  /** A GET was refused, where that may mean that there is nothing. */
  refused(): void {
    if (this.#state === 'unknown') this.#state = 'in doubt'
  }

  /** A GET was answered. */
  granted(): void {
    this.#state = 'known'
  }

  /**
   * Something was uploaded: where there is a doubt, it is read back, once.
   * @param isReadable Tells whether it can be read; may fail.
   */
  async uploaded(isReadable: () => Promise<boolean>): Promise<void> {
    if (this.#state !== 'in doubt') return
    this.#state = 'known'
    const isGranted = await isReadable().catch(() => true)
    if (isGranted) return
    this.#state = 'write-only'
    this.#onWarning(
      'we may upload there, but not read what is there (for S3, the key lacks s3:GetObject; over http, GET is refused with ' +
        '403): everything is uploaded each time, and nothing can be verified',
    )
  }
}
