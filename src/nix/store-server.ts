import { execa } from 'execa'
import { keepLast, letGo, NotStartedError, readLines, workingDirectory } from '../util/run-program.ts'
import { Watchdog } from '../util/watchdog.ts'
import { NixFailure } from './failure.ts'
import { QUERY_TIMEOUT_MS } from './local-store.ts'
import { messagesOf } from './messages.ts'
import { narHashOf } from './nar-hash.ts'
import { encode, WireReader } from './wire.ts'

/** A valid path of the local store, as binary caches know it. */
export interface StoreObject {
  path: string
  /** As `narHashOf` has it: what it was registered with. */
  narHash: string
  /** Bytes, uncompressed. */
  narSize: number
  /** Store paths; the path itself may be one of them. */
  references: readonly string[]
  /** `KEY-NAME:BASE64`, each: those that it came with, and those added here. */
  signatures: readonly string[]
  /** The derivation that it was built by, where that is known. */
  deriver: string | undefined
  /** The content address, as a narinfo has it; such a path needs no signature. Empty if there is none. */
  contentAddress: string
}

/** nix: src/libstore/serve-protocol.hh */
const HELLO = 0x390c9deb
const WELCOME = 0x5452eecb
/** 2.5, which 2.8.0, 2.26.3 and 2.34.8 speak, each in its version 2.7. */
const VERSION = 0x205
const QUERY_VALID_PATHS = 1
const QUERY_PATH_INFOS = 2

/** It needs a few milliseconds to end. */
const END_MS = 1_000

/** Earlier answers don't prove the present state. */
const REMEMBER_NOTHING = ['narinfo-cache-positive-ttl', 'narinfo-cache-negative-ttl'].flatMap((name) => [
  '--option',
  name,
  '0',
])

function startServer(flags: readonly string[]) {
  return execa('nix-store', ['--serve', ...flags, ...REMEMBER_NOTHING], {
    cwd: workingDirectory(),
    killDescendants: true,
    reject: false,
    buffer: false,
    stdin: 'pipe',
  })
}

/** `nix-store --serve` ended without a word, as when somebody kills it. */
export class SilentEnd extends NixFailure {
  constructor() {
    super(['`nix-store --serve` ended before it had answered'], undefined)
  }
}

/** A running `nix-store --serve`. It answers one question at a time. */
export class StoreServer {
  readonly #child: ReturnType<typeof startServer>
  readonly #answers = new WireReader()
  /** The end of its stderr. */
  readonly #lines: string[] = []
  #hasEnded = false
  #hasGreeted = false
  /** Called when data came in, and at the end. */
  #wake: () => void = () => undefined

  /** @param flags More for its command line: it takes temporary roots only with `--write`. */
  constructor(flags: readonly string[] = []) {
    this.#child = startServer(flags)
    const { stdin, stdout, stderr } = this.#child
    // Its exit tells that it is gone.
    stdin.on('error', () => undefined)
    stdout.on('data', (chunk: Buffer) => {
      this.#answers.push(chunk)
      this.#wake()
    })
    const reading = readLines(stderr, (line) => keepLast(this.#lines, line))
    void Promise.all([this.#child, reading]).then(() => {
      this.#hasEnded = true
      this.#wake()
    })
    this.#child.nodeChildProcess.once('exit', () => letGo(this.#child))
    stdin.write(encode([HELLO, VERSION]))
  }

  /**
   * Looks store paths up.
   * @returns Those that are valid.
   * @throws {NixFailure} if it ended before it had answered; then it can't be asked again.
   * @throws {NotStartedError} if there is no Nix.
   */
  async objects(paths: readonly string[], signal: AbortSignal): Promise<StoreObject[]> {
    return await this.#ask([QUERY_PATH_INFOS, paths.length, ...paths], signal, async () => {
      const found: StoreObject[] = []
      for (;;) {
        const object = await this.#read(readObject)
        if (object === END) return found
        found.push(object)
      }
    })
  }

  /**
   * Takes a temporary root on each path, for as long as the server runs. A running garbage collection respects it.
   * @returns Those that are valid after that.
   * @throws As `objects` does.
   */
  async hold(paths: readonly string[], signal: AbortSignal): Promise<string[]> {
    const [takeRoots, substitute] = [1, 0]
    const question = [QUERY_VALID_PATHS, takeRoots, substitute, paths.length, ...paths]
    return await this.#ask(question, signal, () => this.#read((answers) => answers.texts()))
  }

  async #ask<T>(
    question: readonly (string | number)[],
    signal: AbortSignal,
    answer: () => Promise<T>,
  ): Promise<T> {
    const life = new Watchdog(this.#child, signal, QUERY_TIMEOUT_MS)
    try {
      await this.#greet()
      this.#child.stdin.write(encode(question))
      return await answer()
    } catch (error) {
      this.#child.kill()
      await life.left()
      throw life.ended ? new NixFailure(messagesOf(this.#lines), life.ended) : error
    } finally {
      life.stop()
    }
  }

  /** It ends by itself when its input is closed; if it hangs, it is killed. */
  end(): void {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill(), END_MS).unref()
    void this.#child.finally(() => clearTimeout(timer))
  }

  async #greet(): Promise<void> {
    if (this.#hasGreeted) return
    const [welcome] = await this.#read((answers) => [answers.number(), answers.number()])
    if (welcome !== WELCOME) throw new NixFailure(['`nix-store --serve` says something unknown'], undefined)
    this.#hasGreeted = true
  }

  /** Reads something as soon as all of it is there. */
  async #read<T>(read: (answers: WireReader) => T): Promise<T> {
    for (;;) {
      const value = this.#answers.attempt(read)
      if (value !== undefined) return value
      if (this.#hasEnded) throw await this.#failure()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #failure(): Promise<Error> {
    const result = await this.#child
    if (result.failed && result.exitCode === undefined && result.signal === undefined) {
      return new NotStartedError('nix-store', result.cause ?? result)
    }
    const messages = messagesOf(this.#lines)
    return messages.length > 0 ? new NixFailure(messages, undefined) : new SilentEnd()
  }
}

/** An empty path follows the last one. */
const END = 'end'

function readObject(answers: WireReader): StoreObject | typeof END {
  const path = answers.text()
  if (path === '') return END
  const deriver = answers.text() || undefined
  const references = answers.texts()
  // The download size, which for a local store is the whole size.
  answers.number()
  const narSize = answers.number()
  const hash = answers.text()
  const contentAddress = answers.text()
  const signatures = answers.texts()
  const narHash = narHashOf(hash)
  if (narHash === undefined) throw new NixFailure([`the hash of '${path}' is no SHA-256: ${hash}`], undefined)
  return { path, narHash, narSize, references, signatures, deriver, contentAddress }
}
