// `nix-upload doctor`, on a machine where all is well and on ones where one thing is not: each breaks that very thing.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeNamespace } from '../../integration/circumstances.ts'
import { until } from '../../integration/daemon.ts'
import { NIX_UPLOAD } from '../../integration/site.ts'
import { jobText } from '../../spool/temp-spool.ts'
import { startNixDaemon } from '../../support/nix-daemon.ts'
import { type Nginx, startNginx } from '../../support/servers/nginx.ts'
import { build } from '../cli.ts'
import { destination, findings, type Healthy, makeHealthy } from './bed.ts'

let machine: Healthy
beforeAll(async () => {
  await build()
  machine = await makeHealthy()
})
afterAll(() => machine?.cleanup())

const conf = () => join(machine.site.nix.confDir, 'nix.conf')

/** Changes nix.conf for as long as it takes. */
async function withConf<T>(change: (text: string) => string, act: () => Promise<T>): Promise<T> {
  const before = readFileSync(conf(), 'utf8')
  writeFileSync(conf(), change(before))
  try {
    return await act()
  } finally {
    writeFileSync(conf(), before)
  }
}

const hookIs = (hook: string) => (text: string) =>
  text.replace(/^post-build-hook = .*$/m, `post-build-hook = ${hook}`)

describe('a healthy machine', () => {
  test('has nothing to mend, and is told so', async () => {
    const { exitCode, checks } = await machine.doctor()
    const bad = checks.filter(({ state, name }) => state !== 'ok' && name !== 'clock' && name !== 'room')
    expect([exitCode, bad]).toEqual([0, []])
    const names = checks.map(({ name }) => name)
    const all = [
      'configuration',
      'Nix',
      'key of cache',
      'destination cache',
      'signatures at cache',
      'clock',
      'hook',
    ]
    expect(names).toEqual([
      ...all,
      'trust',
      'spool',
      'filesystem',
      'room',
      'GC roots',
      'daemon',
      'queue',
      'failed',
    ])
  })

  test('hears the key that users would trust', async () => {
    const { of } = await machine.doctor()
    expect(of('key of cache').what).toBe(`users trust ${machine.key.publicKey}`)
  })

  test('is told which jobs its signatures were looked for', async () => {
    const what = async (args?: string[]) => (await machine.doctor(args)).of('signatures at cache').what
    expect(await what()).toBe('1 path of the last job in done/, all there and signed')
    const done = machine.site.path('done')
    for (let at = 0; at < 120; at++)
      writeFileSync(join(done, `20301122T031402Z-${at}-elsewhere.json`), jobText())
    expect(await what()).toMatch(/^nothing to check: of the last 100 jobs in done\/, no path went there/)
    for (const name of readdirSync(done)) if (name.includes('elsewhere')) rmSync(join(done, name))
  })

  test('is asked nothing that stays: neither at the destination nor in the spool', async () => {
    machine.cache.calm()
    const before = machine.site.counts()
    await machine.doctor()
    const puts = machine.cache.seen.filter(({ method }) => method === 'PUT').map(({ path }) => path)
    expect(puts).toEqual(['/nix-cache-info'])
    expect(machine.site.counts()).toEqual(before)
  })

  test('leaves nothing in a cache that is empty, also where that refuses what is sent', async () => {
    const look = async ({ url, root, stop }: Nginx) => {
      const config = await machine.site.configured(destination(url))
      const { state, what } = (await machine.doctor(config)).of('destination cache')
      const left = readdirSync(root)
      await stop()
      return [state, what, left]
    }
    const well = expect.stringMatching(/it is empty, and accepted the beginning of an upload/)
    expect(await look(await startNginx())).toEqual(['ok', well, []])
    const refuses = await startNginx({ location: 'dav_methods PUT; limit_except GET { deny all; }' })
    const refused = expect.stringMatching(/PUT nix-cache-info: 403/)
    expect(await look(refuses)).toEqual(['fail', refused, []])
  })

  test('reads a line a check, and a last word', async () => {
    const { stdout, stderr, exitCode } = await machine.site.run(['doctor', ...machine.config])
    for (const line of stdout.split('\n'))
      expect(line).toMatch(/^(ok|warn|fail|skipped) +\S|^ {9}→ |^ {11,}\S/)
    expect(stdout).toMatch(/^ok {7}Nix: nix \((Nix|Lix, like Nix)\) 2\./m)
    expect(stderr).toMatch(/^healthy/)
    expect(exitCode).toBe(0)
  })
})

describe('broken', () => {
  /** One thing is broken: it and nothing else fails, and the remedy says what to do. */
  async function only(
    name: string,
    what: RegExp,
    remedy: RegExp,
    args?: string[],
    env?: Record<string, string>,
  ) {
    const found = await machine.doctor(args, env ? { env } : {})
    expect(found.failed).toEqual([name])
    expect(found.of(name).what).toMatch(what)
    expect(found.of(name).remedy).toMatch(remedy)
    expect(found.exitCode).toBe(1)
  }

  test('the configuration has a mistake', async () => {
    const config = await machine.site.configured('spol = "/x"\n')
    await only('configuration', /spol/, /check-config/, config)
  })

  test('no hook is set', () =>
    withConf(hookIs(''), () =>
      only('hook', /no post-build-hook is set/, /^ {4}echo 'post-build-hook = \S+nix-upload-hook' >> /m),
    ))

  test('the hook is not there', () =>
    withConf(hookIs('/no/hook'), () => only('hook', /there is no \/no\/hook/, /echo 'post-build-hook = /)))

  test('the hook that init made is not there', async () => {
    const [, file = ''] = machine.config
    const hook = join(dirname(file), 'post-build-hook')
    await withConf(hookIs(hook), () =>
      only(
        'hook',
        /post-build-hook names it: every build fails/,
        /^Put it back:\n {4}nix-upload init --config /,
      ),
    )
  })

  test('nothing was set up yet: one remedy for all of it', async () => {
    const spool = join(machine.site.nix.dir, 'no-spool')
    const remedy = new RegExp(`^ {4}nix-upload init --install --spool ${spool}$`, 'm')
    const env = { NIX_UPLOAD_SPOOL: spool }
    await withConf(hookIs(''), () =>
      only('setup', /there is no configuration, and no post-build-hook/, remedy, [], env),
    )
  })

  test('the hook is not executable', async () => {
    const file = join(machine.site.nix.dir, 'nix-upload-hook')
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o644 })
    await withConf(hookIs(file), () => only('hook', /is not executable/, /^ {4}chmod 755 /m))
  })

  test('the hook is another program', () =>
    withConf(hookIs('/bin/true'), () =>
      only('hook', /does not run nix-upload-hook/, /echo 'post-build-hook = /),
    ))

  test('the hook queues somewhere else', async () => {
    const file = join(machine.site.nix.dir, 'elsewhere')
    writeFileSync(file, '#!/bin/sh\nNIX_UPLOAD_SPOOL=/srv/other exec nix-upload-hook\n', { mode: 0o755 })
    await withConf(hookIs(file), () => only('hook', /uses the spool \/srv\/other/, /NIX_UPLOAD_SPOOL=/))
  })

  test('there is no Nix on the PATH of the service', async () => {
    const { site, config } = machine
    const env = { ...site.env, PATH: '/nowhere' }
    const { stdout, exitCode } = await site.nix.run(process.execPath, [NIX_UPLOAD, 'doctor', ...config], {
      env,
    })
    expect(stdout).toMatch(/^fail {5}Nix: there is no program "nix" on PATH of root, which is \/nowhere$/m)
    expect(exitCode).toBe(1)
  })

  test('a directory of the spool is gone', async () => {
    const { site } = machine
    renameSync(site.path('done'), `${site.path('done')}-away`)
    const found = await machine.doctor()
    renameSync(`${site.path('done')}-away`, site.path('done'))
    expect(found.of('spool')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/there is no .*\/done/),
      remedy: expect.stringContaining('install -d -o root'),
    })
    expect(found.failed).toEqual(['spool'])
  })

  test('the spool is not the service’s', async () => {
    const found = await machine.doctor([...machine.config, '--user', 'nobody'])
    expect(found.of('spool')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/belongs to user number 0, so nobody/),
      remedy: expect.stringContaining('chown -R nobody'),
    })
  })

  test('the GC roots are reached over a symlink', async () => {
    const { gcroots } = machine.site
    renameSync(gcroots, `${gcroots}-away`)
    symlinkSync(`${gcroots}-away`, gcroots)
    await only('GC roots', /is not a directory, and Nix does not follow a symlink/, /install -d/)
    rmSync(gcroots)
    renameSync(`${gcroots}-away`, gcroots)
  })

  test('the GC roots are where Nix doesn’t look', () =>
    only('GC roots', /is not below/, /NIX_UPLOAD_GCROOTS/, undefined, {
      NIX_UPLOAD_GCROOTS: machine.site.nix.dir,
    }))

  test.each([
    ['done', 'size=1g', 'filesystem', /done .* are on different filesystems or mounts/, /one mount/],
    ['', 'size=4m', 'room', /only .* MB .*: the hook will not be able to queue/, /Make room/],
  ] as const)('a mount on spool/%s of %s', async (place, size, name, what, remedy) => {
    const { site } = machine
    const states = 'for s in tmp new cur done failed; do mkdir -p $s; done'
    const there = join(site.spool, place)
    const script = place === '' ? `cd ${there} && ${states}` : ':'
    const { enter } = await makeNamespace(`mount -t tmpfs -o ${size} tmpfs ${there}\n(${script})`)
    const [program = '', ...rest] = [...enter, NIX_UPLOAD, 'doctor', '--json', ...machine.config]
    const { stdout } = await site.nix.run(program, rest, { env: site.env })
    const found = findings(stdout)
    expect(found.of(name).state).toBe('fail')
    expect(found.of(name).what).toMatch(what)
    expect(found.of(name).remedy).toMatch(remedy)
  })

  test('the key can’t be read by the service', async () => {
    const found = await machine.doctor([...machine.config, '--user', 'nobody'])
    expect(found.of('key of cache')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/can't be read by user nobody: permission denied/),
      remedy: expect.stringMatching(/^ {4}chown nobody [\s\S]*credential/m),
    })
  })

  test('the key is none', async () => {
    const file = join(machine.site.nix.dir, 'no-key')
    writeFileSync(file, 'this is no key\n', { mode: 0o600 })
    const config = await machine.site.configured(destination(machine.cache.url, file))
    const found = await machine.doctor(config)
    expect(found.failed).toContain('key of cache')
    expect(found.of('key of cache').what).toMatch(/holds no secret key of Nix/)
    expect(JSON.stringify(found.checks)).not.toContain('this is no key')
  })

  test('the key is the public one', async () => {
    const file = join(machine.site.nix.dir, 'key.public')
    writeFileSync(file, `${machine.key.publicKey}\n`)
    const config = await machine.site.configured(destination(machine.cache.url, file))
    expect((await machine.doctor(config)).of('key of cache')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/key\.public holds a public key; its secret key is in another file$/),
      remedy: expect.stringMatching(/^Name the right file in secret-key-file/),
    })
  })

  test('the keys are named by the URL, or are several in a file that Nix reads the first of', async () => {
    const { secretKeyFile, publicKey } = machine.key
    const to = `${machine.cache.url}?secret-keys=${secretKeyFile}`
    const byUrl = await machine.site.configured(`[[destination]]\nname = "cache"\nto = "${to}"\n`)
    const found = await machine.doctor(byUrl)
    expect(found.of('key of cache')).toMatchObject({ state: 'ok', what: `users trust ${publicKey}` })

    const file = join(machine.site.nix.dir, 'both')
    const key = readFileSync(secretKeyFile, 'utf8')
    writeFileSync(file, `${key}\n${key.replace('example.org-1', 'example.org-2')}`, { mode: 0o600 })
    const several = `${destination(machine.cache.url, file)}via = "nix"\n`
    const { of } = await machine.doctor(await machine.site.configured(several))
    expect(of('key of cache')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/has several keys, and Nix, .* signs with the first only/),
    })
  })

  test('the directory of the cache is a symlink to what is not mounted', async () => {
    const link = join(machine.site.nix.dir, 'unmounted')
    symlinkSync(join(machine.site.nix.dir, 'gone/cache'), link)
    const config = await machine.site.configured(destination(`file://${link}`))
    expect((await machine.doctor(config)).of('destination cache')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/unmounted is a symlink that leads nowhere: is something not mounted\?/),
    })
  })

  test('everybody can read the key: a warning', async () => {
    chmodSync(machine.key.secretKeyFile, 0o644)
    const found = await machine.doctor()
    chmodSync(machine.key.secretKeyFile, 0o600)
    expect(found.of('key of cache')).toMatchObject({
      state: 'warn',
      remedy: expect.stringContaining('chmod 400'),
    })
    expect(found.exitCode).toBe(0)
  })

  test('the destination is not reached', async () => {
    await machine.cache.stop()
    const found = await machine.doctor()
    await machine.cache.start()
    expect(found.failed).toEqual(['destination cache'])
    expect(found.of('destination cache').what).toMatch(/does not accept connections.*ECONNREFUSED/)
    expect(found.of('destination cache').remedy).not.toMatch(/nix/)
  })

  test('the destination can be read and not be written to', async () => {
    machine.cache.behave({ status: 403 }, { method: 'PUT' })
    await only('destination cache', /check the login .*PUT nix-cache-info: 403/, /^Fix that/)
    machine.cache.calm()
  })

  test('a folder as the destination can’t be written to by the service', async () => {
    const cache = join(machine.site.nix.dir, 'roots-cache')
    mkdirSync(cache)
    const config = await machine.site.configured(destination(`file://${cache}`))
    const found = await machine.doctor([...config, '--user', 'nobody'])
    expect(found.of('destination cache')).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/nobody can't write there: permission denied/),
      remedy: expect.stringContaining(`chown -R nobody ${cache}`),
    })
  })

  test('something stands unsigned at the destination', async () => {
    const narinfo = join(machine.cache.dir, `${machine.path.split('/').at(-1)?.slice(0, 32)}.narinfo`)
    const before = readFileSync(narinfo, 'utf8')
    writeFileSync(narinfo, before.replace(/^Sig: .*\n/m, ''))
    await only(
      'signatures at cache',
      /-hello is there without our signature/,
      /^ {4}nix-upload requeue \S+-hello\.json$/m,
    )
    rmSync(narinfo)
    const { state, what } = (await machine.doctor()).of('signatures at cache')
    expect([state, what]).toEqual(['warn', expect.stringMatching(/was delivered, but is not there any more/)])
    writeFileSync(narinfo, before)
  })

  test('the clock is wrong', async () => {
    const date = new Date(Date.now() - 20 * 60_000).toUTCString()
    machine.cache.behave({ status: 200, headers: { date } }, { method: 'HEAD' })
    await only('clock', /20m.* ahead of that of cache: signed requests are refused/, /set-ntp/)
    machine.cache.calm()
  })

  test('a job has waited for hours, for a destination that is down', async () => {
    const { site, cache } = machine
    cache.behave({ status: 401 }, { path: /narinfo$/ })
    const name = '20201122T031402Z-1b4e28ba2fa1-hello.json'
    await site.handOver(name, JSON.stringify({ outPaths: [machine.path] }))
    await site.daemons.at(-1)?.says('the destination is down')
    const { failed, of } = await machine.doctor()
    expect(failed).toEqual(['destination cache', 'queue'])
    expect(of('destination cache').what).toMatch(
      /^down, according to the daemon: .*401.*next attempt in .*; just now: /,
    )
    expect(of('queue').what).toMatch(/1 job waits, the oldest for \d+d.*; cache is down: /)
    expect(of('queue').remedy).toMatch(/^Fix the destination/)
    cache.calm()
    await until(() => existsSync(site.path('done', name)), 'the job to be done')
  })

  test('a job was given up', async () => {
    const { site } = machine
    writeFileSync(site.path('failed', 'X.json'), jobText())
    await only('failed', /1 job was given up; the last is X.json/, /requeue --all/)
    rmSync(site.path('failed', 'X.json'))
  })

  test('no daemon runs while something waits', async () => {
    const { site } = machine
    await site.daemons.at(-1)?.stop()
    const idle = (await machine.doctor()).of('daemon')
    expect(idle).toMatchObject({
      state: 'warn',
      what: expect.stringMatching(/none is running; no job waits/),
    })
    await site.handOver('waiting.json', JSON.stringify({ outPaths: [machine.path] }))
    await only('daemon', /none is running, and 1 job waits$/, /nix-upload watch/)
    await site.watch(machine.config)
    await site.settle('new', 0)
  })

  test('nix-daemon takes no hook from this user, and was started before nix.conf was changed: warnings', async () => {
    const { site } = machine
    const client = await startNixDaemon(site.nix, { NIX_UPLOAD_SPOOL: site.spool })
    const soon = Date.now() / 1000 + 60
    utimesSync(conf(), soon, soon)
    chmodSync(site.nix.confDir, 0o755)
    const asNobody = [...client.as, NIX_UPLOAD, 'doctor', '--json', '--config', '/dev/null']
    const [program = '', ...rest] = asNobody
    const { stdout } = await site.nix.run(program, rest, { env: { ...site.env, ...client.env } })
    const stale = (await machine.doctor()).of('hook')
    await client.stop()
    // Root's Lix would go on trying it.
    rmSync(join(site.nix.stateDir, 'daemon-socket/socket'))
    expect(findings(stdout).of('trust')).toMatchObject({
      state: 'warn',
      what: expect.stringMatching(/ignores --option post-build-hook from nobody/),
      remedy: expect.stringContaining('extra-trusted-users = nobody'),
    })
    expect(stale).toMatchObject({ state: 'warn', remedy: expect.stringContaining('restart nix-daemon') })
  })

  test('and mended, it is healthy', async () => {
    expect(await machine.doctor()).toMatchObject({ failed: [], exitCode: 0 })
  })
})
