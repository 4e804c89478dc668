// A real S3: Ceph's gateway, which checks signatures, with just enough of a Ceph behind it, in memory, on loopback.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { must, runProgram } from '../run.ts'
import { freePort, isOpen } from './server-process.ts'

const PATH = `${process.env.PATH ?? ''}:/usr/bin:/usr/sbin`
const isRoot = process.getuid?.() === 0
/** As root, Ceph insists on its own user. What runs ends with the tests, however they end. */
const WITHIN = [
  'setpriv',
  '--pdeathsig=KILL',
  ...(isRoot ? ['--reuid=ceph', '--regid=ceph', '--clear-groups', '--no-new-privs'] : []),
]
const START_MS = 60_000

/** Someone who may use it, as AWS's programs want to know. */
export interface S3User {
  accessKeyId: string
  secretAccessKey: string
}

const ALICE = { accessKeyId: 'AKIAALICE0000000TEST', secretAccessKey: 'the-secret-of-alice' }
const BOB = { accessKeyId: 'AKIABOB000000000TEST', secretAccessKey: 'the-secret-of-bob' }

/** Starts an S3 server with two users, and no buckets. */
export async function startRadosgw(): Promise<Radosgw> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-radosgw-'))
  const server = new Radosgw(dir, await freePort())
  try {
    await server.start()
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

export class Radosgw {
  readonly dir: string
  readonly port: number
  readonly alice: S3User = ALICE
  readonly bob: S3User = BOB
  readonly #config: string
  readonly #children: ChildProcess[] = []

  constructor(dir: string, port: number) {
    this.dir = dir
    this.port = port
    this.#config = join(dir, 'ceph.conf')
  }

  /** For the `endpoint` of a store URL. */
  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const [fsid, osd, monitor] = [randomUUID(), randomUUID(), await freePort()]
    for (const name of ['mon.a', 'osd.0', 'rgw.a', 'log', 'run']) await mkdir(join(this.dir, name))
    await writeFile(this.#config, configuration(this.dir, fsid, monitor, this.port))
    if (isRoot) must(await runProgram('chown', ['-R', 'ceph:ceph', this.dir], { env: { PATH } }), 'chown')
    const keyring = join(this.dir, 'keyring')
    const key = (name: string, ...caps: string[]) =>
      this.#run(
        'ceph-authtool',
        keyring,
        '--gen-key',
        '-n',
        name,
        ...caps.flatMap((cap) => ['--cap', ...cap.split('=')]),
      )
    await this.#run(
      'ceph-authtool',
      '--create-keyring',
      keyring,
      '--gen-key',
      '-n',
      'mon.',
      '--cap',
      'mon',
      'allow *',
    )
    await key('client.admin', 'mon=allow *', 'osd=allow *')
    await key('osd.0', 'mon=allow profile osd', 'osd=allow *')
    await key('client.rgw.a', 'mon=allow rwx', 'osd=allow rwx')
    const map = join(this.dir, 'monmap')
    await this.#run('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monitor}]`, map)
    await this.#run(
      'ceph-mon',
      '-c',
      this.#config,
      '--mkfs',
      '-i',
      'a',
      '--monmap',
      map,
      '--keyring',
      keyring,
    )
    this.#spawn('ceph-mon', '-f', '-i', 'a')
    await this.#run('ceph', '-c', this.#config, '--connect-timeout', '30', 'osd', 'new', osd)
    await this.#run('ceph-osd', '-c', this.#config, '-i', '0', '--mkfs', '--osd-uuid', osd)
    this.#spawn('ceph-osd', '-f', '-i', '0')
    await this.#makeUser('alice', ALICE)
    await Promise.all([this.#makeUser('bob', BOB), this.#listen()])
  }

  /** Ends all of it at once; nothing of it is worth keeping. */
  async stop(): Promise<void> {
    const running = this.#children.filter((child) => child.exitCode === null && child.signalCode === null)
    const ended = running.map((child) => once(child, 'exit'))
    for (const child of running) child.kill('SIGKILL')
    await Promise.all(ended)
    await rm(this.dir, { recursive: true, force: true })
  }

  #makeUser(name: string, { accessKeyId, secretAccessKey }: S3User): Promise<void> {
    const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`]
    const user = [`--uid=${name}`, `--display-name=${name}`]
    return this.#run('radosgw-admin', '-c', this.#config, 'user', 'create', ...user, ...keys)
  }

  async #listen(): Promise<void> {
    const gateway = this.#spawn('radosgw', '-f', '-n', 'client.rgw.a')
    const deadline = Date.now() + START_MS
    while (!(await isOpen(this.port))) {
      if (gateway.exitCode !== null || Date.now() > deadline) {
        throw new Error(`radosgw did not start: ${await readFile(join(this.dir, 'log/output'), 'utf8')}`)
      }
      await sleep(20)
    }
  }

  async #run(program: string, ...args: string[]): Promise<void> {
    const [first = '', ...rest] = WITHIN
    must(await runProgram(first, [...rest, program, ...args], { env: { PATH } }), `run ${program}`)
  }

  #spawn(program: string, ...args: string[]): ChildProcess {
    const [first = '', ...rest] = WITHIN
    const command = [...rest, program, '-c', this.#config, ...args]
    const child = spawn(first, command, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH } })
    child.stderr.on('data', (data) => appendFileSync(join(this.dir, 'log/output'), data))
    this.#children.push(child)
    return child
  }
}

/** Without the two `paxos` lines it takes ten seconds to start, without `tcp_nodelay` a GET takes 44 ms. */
function configuration(dir: string, fsid: string, monitor: number, port: number): string {
  return `
[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitor}]
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = ${dir}/keyring
run dir = ${dir}/run
admin socket = ${dir}/run/$cluster-$name.$pid.asok
log file = ${dir}/log/$name.log
pid file =
crash dir = ${dir}/run
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[mon]
paxos propose interval = 0.05
paxos min wait = 0.02
mon data avail warn = 1
mon warn on pool no redundancy = false
mon data = ${dir}/mon.a
mon allow pool size one = true
mon max pg per osd = 1000
mon cluster log file = ${dir}/log/cluster.log
mon osd reporter subtree level = osd
[osd]
osd data = ${dir}/osd.0
osd objectstore = memstore
memstore device bytes = 4294967296
osd max backfills = 1
osd scrub during recovery = false
[client]
rgw data = ${dir}/rgw.a
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw enable apis = s3
rgw thread pool size = 32
rgw run sync thread = false
rgw dynamic resharding = false
rgw enable usage log = false
rgw enable ops log = false
`
}
