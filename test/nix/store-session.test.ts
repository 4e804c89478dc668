import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { judge } from '../../src/nix/blame.ts'
import { NixFailure } from '../../src/nix/failure.ts'
import { StoreSession } from '../../src/nix/store-session.ts'
import { NotStartedError } from '../../src/util/run-program.ts'
import { descendantsOf, until } from '../integration/daemon.ts'
import { startNixDaemon } from '../support/nix-daemon.ts'
import { everyNix, nixVersions } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'
import { must } from '../support/run.ts'

const signal = new AbortController().signal
const versions = await everyNix()
const newest = (await nixVersions()).at(-1)
if (!newest) throw new Error('there is no Nix')

let nix: PrivateNix
let store: StoreSession

async function begin(version: (typeof versions)[number]): Promise<void> {
  nix = await makePrivateNix(version, { name: 'session' })
  for (const [name, value] of Object.entries(nix.env)) vi.stubEnv(name, value)
  store = new StoreSession()
}

afterEach(async () => {
  store.close()
  vi.unstubAllEnvs()
  await nix.cleanup()
})

const ask = async (...paths: string[]) => (await store.objects(paths, signal)).map(({ path }) => path)
const lacking = (path: string) => path.replace(/[^/]{32}(?=-[^/]*$)/, '0'.repeat(32))

describe.each(versions)('with $name', (version) => {
  beforeEach(() => begin(version))

  test('a path is told of as Nix knows it', async () => {
    const { secretKeyFile } = await nix.keyPair('key-1')
    const [dependency = ''] = (await nix.build({ name: 'dependency' })).outPaths
    const [path = ''] = (await nix.build({ name: 'path', deps: [dependency] })).outPaths
    must(await nix.run('nix', ['store', 'sign', '--key-file', secretKeyFile, path]), 'sign')
    const hash = must(await nix.run('nix-store', ['--query', '--hash', path]), 'ask').stdout.trim()
    const size = must(await nix.run('nix-store', ['--query', '--size', path]), 'ask').stdout.trim()
    expect(await store.objects([path], signal)).toEqual([
      {
        path,
        narHash: hash,
        narSize: Number(size),
        references: [dependency],
        signatures: [expect.stringMatching(/^key-1:/)],
        deriver: expect.stringMatching(/-path\.drv$/),
        contentAddress: '',
      },
    ])
    const text = await nix.addToStore('text', 'content')
    expect(await store.objects([text], signal)).toMatchObject([
      { contentAddress: expect.stringMatching(/^text:sha256:|^fixed:/), signatures: [] },
    ])
  })

  test('of many, those that are valid come back, each once, in the order they were asked for', async () => {
    const names = Array.from({ length: 1200 }, (_, at) => `file-${at}`)
    const paths = await nix.addAllToStore(Object.fromEntries(names.map((name) => [name, name])))
    const [first = '', second = ''] = paths
    expect(await ask(second, lacking(first), first, second)).toEqual([second, first])
    expect(await ask(...paths)).toEqual(paths)
    expect(await ask()).toEqual([])
  })

  test('a path that comes into the store after it was asked for is there', async () => {
    const [path = ''] = (await nix.build({ name: 'again' })).outPaths
    must(await nix.run('nix-store', ['--delete', path]), 'delete')
    expect(await ask(path)).toEqual([])
    await nix.build({ name: 'again' })
    expect(await ask(path)).toEqual([path])
  })

  test('what is asked at the same time is answered in turn', async () => {
    const [one = '', other = ''] = await nix.addAllToStore({ one: '1', other: '2' })
    expect(await Promise.all([ask(one), ask(other), ask(one, other)])).toEqual([[one], [other], [one, other]])
  })

  test.runIf(process.getuid?.() === 0)('the daemon of a machine with several users is asked', async () => {
    const path = await nix.addToStore('file', 'content')
    const { stop } = await startNixDaemon(nix)
    onTestFinished(stop)
    vi.stubEnv('NIX_REMOTE', 'daemon')
    expect(await ask(path, lacking(path))).toEqual([path])
    await stop()
    store.close()
    const failure = await ask(path).catch((error: unknown) => error)
    if (!(failure instanceof NixFailure)) throw failure
    expect(judge(failure.messages)).toMatchObject({
      blame: 'destination',
      message: expect.stringMatching(/^nix-daemon does not answer/),
    })
  })

  test('what is no store path is told to be none', async () => {
    await expect(ask('/etc/passwd')).rejects.toThrow(/\/etc\/passwd.*not in the Nix store/)
  })
})

describe('whatever the version', () => {
  beforeEach(() => begin(newest))

  const servers = () => descendantsOf(process.pid).filter((pid) => isServer(pid))

  test('one program answers, and is gone when it is of no more use', async () => {
    const [one = '', other = ''] = await nix.addAllToStore({ one: '1', other: '2' })
    store.open()
    const [pid] = servers()
    await ask(one)
    await ask(other)
    expect(servers()).toEqual([pid])
    store.close()
    await until(() => servers().length === 0, 'its end')
  })

  test('after some seconds it is gone by itself, and so is what it said', { timeout: 30_000 }, async () => {
    const path = await nix.addToStore('file', 'content')
    await ask(path)
    must(await nix.run('nix-store', ['--delete', path]), 'delete')
    await until(() => servers().length === 0, 'its end', 15_000)
    expect(await ask(path)).toEqual([])
  })

  test('where it has ended meanwhile, another one is asked', async () => {
    const [one = '', other = ''] = await nix.addAllToStore({ one: '1', other: '2' })
    await ask(one)
    for (const pid of servers()) process.kill(pid, 'SIGKILL')
    expect(await ask(one, other)).toEqual([one, other])
  })

  /** @param script What is run in the place of `nix-store`. */
  async function withServer(script: string): Promise<void> {
    const bin = join(nix.dir, 'bin')
    await mkdir(bin)
    await writeFile(join(bin, 'nix-store'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    vi.stubEnv('PATH', `${bin}:${process.env.PATH}`)
  }

  test('what it says is wrong is passed on', async () => {
    await withServer('echo "warning: so so" >&2; echo "error: the store is on fire" >&2; exit 1')
    await expect(ask('/x')).rejects.toMatchObject({ messages: ['warning: so so', 'the store is on fire'] })
  })

  test('one that ends without a word, or speaks otherwise, is said to', async () => {
    await withServer(
      '[ -e "$0.2" ] || exit 0; echo "I am no store, whoever you take me for."; cat >/dev/null',
    )
    await expect(ask('/x')).rejects.toThrow('`nix-store --serve` ended before it had answered')
    await writeFile(join(nix.dir, 'bin/nix-store.2'), '')
    await expect(ask('/x')).rejects.toThrow('`nix-store --serve` says something unknown')
  })

  test('where the question is of no interest any more, the program goes', async () => {
    await withServer('exec sleep 1000')
    const ended = new AbortController()
    const asked = store.objects(['/x'], ended.signal)
    const answer = expect(asked).rejects.toMatchObject({ ended: 'aborted' })
    await sleep(100)
    ended.abort()
    await answer
    expect(sleepers()).toEqual([])
    await expect(store.objects(['/x'], ended.signal)).rejects.toMatchObject({ ended: 'aborted' })
  })

  test('what it leaves behind holds up nobody who asks', async () => {
    await withServer('sleep 1000 & echo "error: no more" >&2; exit 1')
    const began = performance.now()
    await expect(ask('/x')).rejects.toThrow('no more')
    expect(performance.now() - began).toBeLessThan(20_000)
    for (const pid of sleepers()) process.kill(pid)
  })

  test('one that hangs is ended when nobody is to ask it any more', async () => {
    await withServer('exec sleep 1000')
    store.open()
    await until(() => sleepers().length === 1, 'its start')
    store.close()
    await until(() => sleepers().length === 0, 'its end', 20_000)
  })

  test('where there is no Nix, that is what is wrong', async () => {
    vi.stubEnv('PATH', '/nowhere')
    await expect(ask('/x')).rejects.toThrow(NotStartedError)
  })
})

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
}

function isServer(pid: number): boolean {
  return commandOf(pid).includes('--serve')
}

/** Wherever they hang, of this store. */
function sleepers(): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
      return environment.includes(nix.storeDir) && commandOf(pid).includes('sleep 1000')
    } catch {
      // It is gone.
      return false
    }
  })
}
