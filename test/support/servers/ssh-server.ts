// A machine with Nix that is reached over ssh: sshd on a port of its own, and this same Nix with another store.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must, runProgram } from '../run.ts'
import { startServer } from './server-process.ts'

/** How a client connects; as one should, unless told otherwise. */
export interface SshClient {
  port?: number
  /** Which key it logs in with; the server knows `ours` only. */
  identity?: 'ours' | 'other'
  /** Which host key it takes for the server's. */
  knownHost?: 'right' | 'wrong' | 'none'
}

export interface SshServer {
  port: number
  log(): string
  /** The value of NIX_SSHOPTS. Nothing of the user's own ssh configuration plays a part. */
  sshopts(client?: SshClient): string
  stop(): Promise<void>
}

/** Starts sshd on a free port of 127.0.0.1. It lets in whoever runs the tests, with a key made for this. */
export async function startSshServer(): Promise<SshServer> {
  await makePrivilegeSeparationDirectory()
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-ssh-'))
  for (const name of ['host', 'ours', 'other']) await makeKey(join(dir, name))
  const server = await startServer('sshd', async (port) => {
    await writeFile(join(dir, 'config'), configuration(dir, port))
    return ['-D', '-e', '-f', join(dir, 'config')]
  })
  const hosts = { right: await publicKey(dir, 'host'), wrong: await publicKey(dir, 'other') }
  for (const [name, key] of Object.entries(hosts)) {
    // The same key whatever the port: a client may come by way of another one.
    await writeFile(join(dir, `known-${name}`), `nix-upload-test ${key}\n`)
  }
  return {
    port: server.port,
    log: server.log,
    sshopts: (client) => sshopts(dir, { port: server.port, ...client }),
    stop: async () => {
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function sshopts(dir: string, client: SshClient & { port: number }): string {
  const options = {
    BatchMode: 'yes',
    HostKeyAlias: 'nix-upload-test',
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    StrictHostKeyChecking: 'yes',
    UserKnownHostsFile: join(dir, `known-${client.knownHost ?? 'right'}`),
    GlobalKnownHostsFile: '/dev/null',
  }
  const pairs = Object.entries(options).map(([name, value]) => `-o ${name}=${value}`)
  return ['-F none', `-p ${client.port}`, `-i ${join(dir, client.identity ?? 'ours')}`, ...pairs].join(' ')
}

async function makeKey(file: string): Promise<void> {
  const args = ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]
  must(await runProgram('ssh-keygen', args, { env: { PATH: process.env.PATH ?? '' } }), `make ${file}`)
}

async function publicKey(dir: string, name: string): Promise<string> {
  return (await readFile(join(dir, `${name}.pub`), 'utf8')).trim()
}

function configuration(dir: string, port: number): string {
  return `
ListenAddress 127.0.0.1
Port ${port}
HostKey ${dir}/host
AuthorizedKeysFile ${dir}/ours.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
`
}

/** sshd insists on this directory when root runs it; Debian makes it when the service starts. */
async function makePrivilegeSeparationDirectory(): Promise<void> {
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
}
