// Uploads to a cache over http by way of the stage, against one bare `nix copy` in the same run: to a server on loopback
// that waits before each answer. What is asked of it: many tiny paths, one new path over an old closure, one large path, two
// destinations, and no latency at all.
// usage: node bench/staged.ts [PATHS] [LARGE-MIB] [WAIT-MS]; progress on stderr, one JSON object on stdout.
import { spawn } from 'node:child_process'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type NixVersion, nixVersions } from '../test/support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'
import { type MoodyCache, startMoodyCache } from '../test/support/servers/moody-cache.ts'

const [count = 1000, largeMiB = 1024, waitMs = 50] = process.argv.slice(2).map(Number)
const program = new URL('../bin/nix-upload', import.meta.url).pathname
const [oldest, newest] = [(await nixVersions())[0], (await nixVersions()).at(-1)]
if (!oldest || !newest) throw new Error('there is no Nix')

interface Run {
  seconds: number
  /** Of the whole process tree. */
  cpuSeconds: number
  /** The most that our own process had in memory. */
  peakMiB: number
}

async function seconds(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await act()
  return (performance.now() - start) / 1000
}

function say(what: string, value: unknown): void {
  process.stderr.write(`${what}: ${JSON.stringify(value)}\n`)
}

/** Queues paths and drains them to some caches. */
async function drain(nix: PrivateNix, paths: string[], caches: MoodyCache[], more = ''): Promise<Run> {
  const spool = join(nix.dir, 'spool')
  await rm(spool, { recursive: true, force: true })
  const env = { ...nix.env, NIX_UPLOAD_SPOOL: spool, NIX_UPLOAD_GCROOTS: '' }
  must(await nix.run(program, ['enqueue', '-'], { env, input: paths.join('\n') }), 'queue')
  const sections = caches.map(
    ({ url }, at) => `[[destination]]\nname = "cache-${at}"\nto = "${url}"\n${more}`,
  )
  const config = join(nix.dir, 'config.toml')
  await writeFile(config, sections.join(''))
  const child = spawn(
    'sh',
    ['-c', '"$@"; status=$?; times >&2; exit $status', 'sh', program, 'drain', '--config', config],
    { env },
  )
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  let peakKiB = 0
  const watching = setInterval(() => {
    const kib = peakOf(child.pid)
    peakKiB = Math.max(peakKiB, kib)
  }, 50)
  const took = await seconds(() => new Promise((resolve) => child.on('close', resolve)))
  clearInterval(watching)
  if (child.exitCode !== 0) throw new Error(said)
  const [user = 0, system = 0] = [...(said.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, rest]) => Number(minutes) * 60 + Number(rest),
  )
  return { seconds: took, cpuSeconds: user + system, peakMiB: Math.round(peakKiB / 1024) }
}

/** Of the Node below a shell: all the others are Nix. */
function peakOf(pid = 0): number {
  try {
    const [child = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

async function bare(nix: PrivateNix, paths: string[], cache: MoodyCache): Promise<number> {
  const args = ['copy', '--option', 'substitute', 'false', '--to', `${cache.url}?compression=zstd`, ...paths]
  return await seconds(async () => must(await nix.run('nix', args, { timeout: 900_000 }), 'copy'))
}

async function withCache<T>(delayMs: number, act: (cache: MoodyCache) => Promise<T>): Promise<T> {
  const cache = await startMoodyCache()
  if (delayMs > 0) cache.behave({ delayMs })
  try {
    return await act(cache)
  } finally {
    await cache.cleanup()
  }
}

async function tiny(version: NixVersion, delayMs: number) {
  const nix = await makePrivateNix(version, { name: 'bench' })
  try {
    const files = Object.fromEntries(
      Array.from({ length: count }, (_, at) => [`tiny-${at}`, `content ${at}\n`]),
    )
    const paths = await nix.addAllToStore(files)
    const staged = await withCache(delayMs, (cache) => drain(nix, paths, [cache]))
    const bareSeconds = await withCache(delayMs, (cache) => bare(nix, paths, cache))
    const result = {
      nix: version.version,
      delayMs,
      paths: count,
      ...staged,
      bareSeconds,
      bareToStaged: bareSeconds / staged.seconds,
    }
    say('tiny paths', result)
    return result
  } finally {
    await nix.cleanup()
  }
}

/** One new path over an old closure, of which nothing is remembered: a drain is a new process. */
async function oneNew(nix: PrivateNix) {
  const files = Object.fromEntries(
    Array.from({ length: count - 1 }, (_, at) => [`old-${at}`, `content ${at}\n`]),
  )
  const old = await nix.addAllToStore(files)
  const { outPaths } = await nix.build({ name: 'new', deps: old })
  return await withCache(waitMs, async (cache) => {
    await drain(nix, old, [cache])
    cache.seen.length = 0
    const run = await drain(nix, outPaths, [cache])
    const result = { closure: count, ...run, gets: cache.count('GET'), puts: cache.count('PUT') }
    say('one new path', result)
    return result
  })
}

/** Of the staged upload, how long packing and sending took, beside a PUT of the same archive by Node itself. */
async function large(nix: PrivateNix) {
  const { outPaths } = await nix.build({ name: 'large', sizeBytes: largeMiB * 1024 * 1024 })
  return await withCache(0, async (cache) => {
    const run = await drain(nix, outPaths, [cache], 'check-contents = false\n')
    const checked = await withCache(0, (other) => drain(nix, outPaths, [other]))
    const [name = ''] = await readdir(join(cache.dir, 'nar'))
    const file = join(cache.dir, 'nar', name)
    const put = await seconds(() => withCache(0, (other) => putFile(file, `${other.url}/nar/x`)))
    const pack = await seconds(async () =>
      must(
        await nix.run('nix', ['copy', '--to', `file://${nix.dir}/packed?compression=zstd`, ...outPaths]),
        'pack',
      ),
    )
    const direct = await withCache(0, (other) => bare(nix, outPaths, other))
    const result = {
      largeMiB,
      ...run,
      checkContentsSeconds: checked.seconds - run.seconds,
      packSeconds: pack,
      putSeconds: put,
      bareSeconds: direct,
    }
    say('one large path', result)
    return result
  })
}

async function putFile(file: string, url: string): Promise<void> {
  const sent = request(url, { method: 'PUT', headers: { 'content-length': statSync(file).size } })
  const answered = new Promise((resolve, reject) => sent.on('response', resolve).on('error', reject))
  await pipeline(createReadStream(file), sent)
  await answered
}

async function twoDestinations(nix: PrivateNix) {
  const built = []
  for (let at = 0; at < 8; at++) {
    const expression = {
      name: `program-${at}`,
      sizeBytes: 1_000_000,
      content: 'the quick brown fox '.repeat(2000),
    }
    built.push(...(await nix.build(expression)).outPaths)
  }
  const text = await nix.addAllToStore(
    Object.fromEntries(
      Array.from({ length: 8 }, (_, at) => [
        `text-${at}`,
        `${at} ${readFileSync(process.execPath).toString('base64', 0, 9_000_000)}`,
      ]),
    ),
  )
  const paths = [...built, ...text]
  const one = await withCache(waitMs, (cache) => drain(nix, paths, [cache]))
  const two = await withCache(waitMs, (a) => withCache(waitMs, (b) => drain(nix, paths, [a, b])))
  const result = {
    oneCpuSeconds: one.cpuSeconds,
    twoCpuSeconds: two.cpuSeconds,
    ratio: two.cpuSeconds / one.cpuSeconds,
  }
  say('two destinations', result)
  return result
}

const results: Record<string, unknown> = {
  noWait: await tiny(newest, 0),
  tiny: [await tiny(newest, waitMs), await tiny(oldest, waitMs)],
}
const nix = await makePrivateNix(newest, { name: 'bench' })
try {
  results.oneNew = await oneNew(nix)
  results.twoDestinations = await twoDestinations(nix)
  results.large = await large(nix)
} finally {
  await nix.cleanup()
}
process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
