// What nginx and sshd have in common as servers for tests: a program in the foreground that wants to be told its port.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { delimiter, isAbsolute, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const START_MS = 30_000
const STOP_MS = 5_000
/** Debian has them where a user's PATH doesn't lead. */
const PLACES = [...(process.env.PATH ?? '/usr/bin:/bin').split(delimiter), '/usr/sbin', '/sbin']

/** A server program that runs. */
export interface ServerProcess {
  port: number
  /** What it has written to stderr so far. */
  log(): string
  stop(): Promise<void>
}

/**
 * Starts a server on a free port and waits until it takes connections.
 * @param prepare Called with the port; writes the configuration and returns the arguments.
 * @throws Where it ends instead, with what it said.
 */
export async function startServer(
  program: string,
  prepare: (port: number) => Promise<string[]>,
): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const server = new Process(program, await prepare(port))
    if (await server.isListening(port)) return { port, log: () => server.log, stop: () => server.stop() }
    await server.stop()
    // Someone else may have taken the port in between.
    if (attempt < 3 && /already in use/i.test(server.log)) continue
    throw new Error(`${program} did not start: ${server.log || 'it said nothing'}`)
  }
}

class Process {
  log = ''
  readonly #child: ChildProcess
  #isOver = false

  constructor(program: string, args: string[]) {
    this.#child = spawn(find(program), args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: PLACES.join(delimiter) },
    })
    this.#child.on('error', (error) => {
      this.log += error.message
      this.#isOver = true
    })
    this.#child.on('exit', () => {
      this.#isOver = true
    })
    this.#child.stderr?.on('data', (data) => {
      this.log += data
    })
  }

  async isListening(port: number): Promise<boolean> {
    const deadline = Date.now() + START_MS
    while (!this.#isOver && Date.now() < deadline) {
      // Whoever answers at that port might be somebody else, if this process is over.
      if (await isOpen(port)) return !this.#isOver
      await sleep(20)
    }
    return false
  }

  async stop(): Promise<void> {
    if (this.#isOver) return
    const exited = once(this.#child, 'exit')
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
    this.#child.kill('SIGTERM')
    await exited
    clearTimeout(kill)
  }
}

/** A port that nobody listens at: to be refused by, or for a server that can't choose one itself. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('There is no free port')
  return address.port
}

/** sshd insists on being started by its whole path. */
function find(program: string): string {
  const found = PLACES.filter((dir) => isAbsolute(dir))
    .map((dir) => join(dir, program))
    .find((path) => existsSync(path))
  if (found === undefined) throw new Error(`${program} is not installed`)
  return found
}

/** True where somebody listens at a port of this machine. */
export async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const isConnected = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return isConnected
}
