// A network that can fail: passes TCP connections on to a port of this machine, and cuts or stalls them when told to.

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** What becomes of a connection after so many bytes from the client. */
export interface Fault {
  afterBytes: number
  /** `cut` resets it; `stall` leaves it open and passes nothing on any more, in neither direction. */
  how: 'cut' | 'stall'
}

/** Opens a gate to a port of 127.0.0.1. */
export async function openTcpGate(targetPort: number): Promise<TcpGate> {
  const gate = new TcpGate(targetPort)
  await gate.open()
  return gate
}

export class TcpGate {
  port = 0
  /** For connections that are made from now on. */
  fault: Fault | undefined
  readonly #targetPort: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(targetPort: number) {
    this.#targetPort = targetPort
    this.#server = createServer((client) => this.#pass(client))
  }

  async open(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The gate has no port')
    this.port = address.port
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #pass(client: Socket): void {
    const target = connect(this.#targetPort, '127.0.0.1')
    const fault = this.fault
    let bytes = 0
    for (const socket of [client, target]) {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        client.destroy()
        target.destroy()
      })
    }
    client.on('data', (chunk) => {
      bytes += chunk.length
      if (!fault || bytes < fault.afterBytes) {
        if (!target.write(chunk)) client.pause()
      } else if (fault.how === 'cut') {
        client.resetAndDestroy()
      } else {
        client.pause()
        target.unpipe(client)
      }
    })
    target.on('drain', () => client.resume())
    target.pipe(client)
  }
}
