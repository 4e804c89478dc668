// `nix-upload init`: what it makes, what it keeps, what it prints, and that a build uploads with nothing else typed.

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { versions } from '../delivery/bed.ts'
import { HELLO } from '../hook/bed.ts'
import { Daemon } from '../integration/daemon.ts'
import { makeSite, NIX_UPLOAD, type Site } from '../integration/site.ts'
import { tempDir } from '../spool/temp-spool.ts'
import { type RunOptions, type RunResult, runProgram } from '../support/run.ts'
import { build } from './cli.ts'

beforeAll(build)

/** Runs init in a directory of its own, without any Nix but what is on PATH. */
function init(dir: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  const env = {
    PATH: `${versions.at(-1)?.bin}:${process.env.PATH}`,
    HOME: dir,
    NIX_UPLOAD_GCROOTS: join(dir, 'gcroots'),
    NO_COLOR: '1',
  }
  const flags = ['--config', join(dir, 'etc/config.toml'), '--spool', join(dir, 'spool')]
  return runProgram(process.execPath, [NIX_UPLOAD, 'init', ...flags, ...args], { cwd: dir, env, ...options })
}

/** The lines to copy behind a heading. */
function toCopy(stdout: string, heading: RegExp): string[] {
  const [, after = ''] = stdout.split(heading)
  const [block = ''] = after.replace(/^.*\n\n/, '').split('\n\n')
  return block.split('\n').flatMap((line) => (line.startsWith('    ') ? [line.slice(4)] : []))
}

/** Every file below a directory, with its content, its mode and when it was last changed. */
function snapshot(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()
  return Object.fromEntries(
    names.map((name) => {
      const stats = statSync(join(dir, name))
      const content = stats.isFile() ? `${stats.mtimeMs} ${readFileSync(join(dir, name), 'utf8')}` : ''
      return [name, `${stats.mode.toString(8)} ${content}`]
    }),
  )
}

describe.each(versions)('$name', (version) => {
  test('then a build, its upload and its substitution, with nothing typed but what it printed', async () => {
    const site: Site = await makeSite(version)
    const { NIX_UPLOAD_SPOOL: _, ...env } = site.env
    const at = (name: string) => join(site.nix.dir, name)
    const flags = ['--config', at('etc/config.toml'), '--spool', site.spool, '--to', `file://${at('cache')}`]
    const made = await site.nix.run(NIX_UPLOAD, ['init', ...flags], { env })
    expect(made.exitCode, made.stderr).toBe(0)
    const forBuilder = toCopy(made.stdout, /^\d\. Add to .*nix\.conf on this machine/m)
    expect(forBuilder).toEqual([`post-build-hook = ${at('etc/post-build-hook')}`])
    await appendFile(join(site.nix.confDir, 'nix.conf'), forBuilder.map((line) => `${line}\n`).join(''))

    const start = toCopy(made.stdout, /^\d\. Then, to make nix-daemon/m).filter(
      (line) => !line.startsWith('systemctl'),
    )
    const line = `exec ${start.join('\n').replace('nix-upload ', `${NIX_UPLOAD} `)}`
    const daemon = new Daemon('sh', ['-c', line], { ...site.nix.env, TMPDIR: site.env.TMPDIR ?? '' })
    site.daemons.push(daemon)
    await daemon.says('"watching"')

    const { outPaths } = await site.nix.build({ name: 'first', deps: [{ name: 'dependency' }] })
    await site.settle('done', 2)

    const settings = toCopy(made.stdout, /^\d\. Add to nix\.conf on every machine/m)
    expect(settings).toEqual([
      `extra-substituters = file://${at('cache')}`,
      expect.stringMatching(/^extra-trusted-public-keys = \S+-1:\S+=$/),
    ])
    const other = { NIX_CONF_DIR: at('other-conf'), HOME: at('other-home'), XDG_CACHE_HOME: at('other-home') }
    for (const directory of [other.NIX_CONF_DIR, other.HOME]) await mkdir(directory)
    writeFileSync(join(other.NIX_CONF_DIR, 'nix.conf'), `substituters =\n${settings.join('\n')}\n`)
    const fetched = await site.nix.run(
      'nix-store',
      ['--store', `local?root=${at('other')}`, '--realise', ...outPaths],
      { env: other },
    )
    expect(fetched.exitCode, fetched.stderr).toBe(0)

    const look = toCopy(made.stdout, /^\d\. Make a first build/m)
    expect(look).toEqual([
      expect.stringMatching(/^nix-build /),
      expect.stringMatching(/^nix-upload wait /),
      expect.stringMatching(/^nix-upload doctor/),
    ])
    const well = await site.nix.run(
      'sh',
      ['-c', look.join(' && ').replaceAll('nix-upload ', `${NIX_UPLOAD} `)],
      {
        env: { ...site.nix.env, NIX_UPLOAD_GCROOTS: site.gcroots },
      },
    )
    expect(well.exitCode, well.stdout).toBe(0)
    expect(readdirSync(join(site.spool, 'done'))).toContainEqual(
      expect.stringMatching(/-first-upload\.json$/),
    )
  })
})

test('makes the key readable for its owner alone, and a configuration that is valid and has comments', async () => {
  const dir = tempDir()
  const { stdout, stderr, exitCode } = await init(dir, ['--to', 'https://cache.example.org/x?compression=xz'])
  expect(exitCode, stderr).toBe(0)
  expect(statSync(join(dir, 'etc/cache.key')).mode & 0o777).toBe(0o600)
  const publicKey = readFileSync(join(dir, 'etc/cache.pub'), 'utf8').trim()
  expect(publicKey).toMatch(/^cache\.example\.org-1:/)
  expect(`${stdout}\n`).toContain(`extra-trusted-public-keys = ${publicKey}\n`)
  expect(stdout).toContain('extra-substituters = https://cache.example.org/x\n')
  const text = readFileSync(join(dir, 'etc/config.toml'), 'utf8')
  expect(text).toMatch(/^# .*docs\/CONFIGURATION\.md/m)
  const config = await loadConfig({ config: join(dir, 'etc/config.toml') }, {})
  expect(config.destinations).toEqual([
    expect.objectContaining({
      to: 'https://cache.example.org/x?compression=xz',
      secretKeyFile: join(dir, 'etc/cache.key'),
    }),
  ])
  // What is commented out is valid too, where it is not commented out.
  const bare = text.replaceAll(/^#(?=\S+ = )/gm, '')
  writeFileSync(join(dir, 'bare.toml'), bare)
  expect(await loadConfig({ config: join(dir, 'bare.toml') }, {})).toMatchObject({
    keepDoneMs: 7 * 24 * 3600_000,
  })
})

test('run again, it changes nothing and prints the same', async () => {
  const dir = tempDir()
  const first = await init(dir, ['--to', `file://${dir}/cache`])
  const before = snapshot(dir)
  const again = await init(dir, ['--yes'])
  expect(snapshot(dir)).toEqual(before)
  expect([again.exitCode, again.stdout]).toEqual([0, first.stdout])
  expect(again.stderr).toMatch(/cache\.key exists already; it is kept/)
  expect(again.stderr).toMatch(/config\.toml exists already; it is kept/)
  const same = await init(dir, ['--to', `file://${dir}/cache`])
  expect([same.exitCode, same.stdout]).toEqual([0, first.stdout])
})

test.each<[args: string[], message: RegExp]>([
  [['--to', 's3://other'], /uploads go to file:.*\/cache, but --to is s3:\/\/other/],
  [['--secret-key-file', '/other.key'], /no destination has the key \/other\.key/],
  [['--no-sign'], /uploads are signed, but --no-sign was given/],
])('a configuration that says otherwise is an error, and nothing is changed: %j', async (args, message) => {
  const dir = tempDir()
  await init(dir, ['--to', `file://${dir}/cache`])
  const before = snapshot(dir)
  const { stdout, stderr, exitCode } = await init(dir, args)
  expect(stderr).toMatch(/etc\/config\.toml exists and differs: /)
  expect(stderr).toMatch(message)
  expect(stderr).toMatch(/Edit that file .* or move it away and run init again$/)
  expect([exitCode, stdout, snapshot(dir)]).toEqual([2, '', before])
})

test('so it is with another spool or other GC roots', async () => {
  const dir = tempDir()
  await init(dir, ['--to', `file://${dir}/cache`])
  const env = { PATH: `${versions.at(-1)?.bin}:${process.env.PATH}`, HOME: dir }
  const told = async (more: Record<string, string>) => {
    const args = [NIX_UPLOAD, 'init', '--config', join(dir, 'etc/config.toml'), '--yes']
    const { stderr } = await runProgram(process.execPath, args, { cwd: dir, env: { ...env, ...more } })
    return stderr
  }
  expect(await told({ NIX_UPLOAD_SPOOL: '/other' })).toMatch(/the spool is .*\/spool, but \/other was given/)
  expect(await told({ NIX_UPLOAD_GCROOTS: '' })).toMatch(/gcroots is ".*\/gcroots", but "" was given/)
})

test('for s3 the first thing to do is to give credentials, in a file that root alone can read', async () => {
  const dir = tempDir()
  const flags = ['--root', dir, '--to', 's3://my-cache', '--install']
  const env = { PATH: `${versions.at(-1)?.bin}:${process.env.PATH}`, HOME: dir }
  const { stdout } = await runProgram(process.execPath, [NIX_UPLOAD, 'init', ...flags], { env, cwd: dir })
  expect(stdout).toMatch(/^\n1\. Write the bucket's credentials into \/etc\/nix-upload\/environment/)
  expect(statSync(join(dir, 'etc/nix-upload/environment')).mode & 0o777).toBe(0o600)
  expect(stdout.match(/^\d(?=\. )/gm)).toEqual(['1', '2', '3', '4', '5'])
})

test('the hook that it puts in place queues while nothing of nix-upload is there, and says so', async () => {
  const dir = tempDir()
  await init(dir, ['--to', `file://${dir}/cache`])
  const hook = join(dir, 'etc/post-build-hook')
  const env = { PATH: '/usr/bin:/bin', OUT_PATHS: HELLO }
  const here = await runProgram(hook, [], { env, cwd: '/' })
  expect(here.stdout).toMatch(/^nix-upload: queued \S+-hello-2\.12\.1\.json$/)
  const text = readFileSync(hook, 'utf8')
  writeFileSync(hook, text.replace(/^NIX_UPLOAD_PROGRAM=.*$/m, "NIX_UPLOAD_PROGRAM='/no/nix-upload'"))
  const gone = await runProgram(hook, [], { env: { ...env, NIX_UPLOAD_STRICT: '1' }, cwd: '/' })
  expect(gone.stdout).toMatch(
    /^nix-upload: queued \S+-hello-2\.12\.1\.json; it waits until nix-upload is installed again \(there is no \/no\/nix-upload\)$/,
  )
  expect(gone.exitCode).toBe(0)
  expect(readdirSync(join(dir, 'spool/new'))).toHaveLength(2)
  expect(readdirSync(join(dir, 'gcroots'))).toHaveLength(2)
})

test('--dry-run shows every file with its content, no secret, and writes nothing', async () => {
  const dir = tempDir()
  const { stdout, exitCode } = await init(dir, ['--to', 's3://my-cache', '--dry-run'])
  expect([exitCode, readdirSync(dir)]).toEqual([0, []])
  expect(stdout).toContain(`would make ${dir}/spool with tmp, new, cur, done, failed in it (0755, of `)
  expect(stdout).toMatch(/would make the key pair my-cache-1: \S+\/cache\.key \(0600, of /)
  expect(stdout).toMatch(
    /would write \S+\/config\.toml \(0644\):\n( {4}\| .*\n)* {4}\| to = "s3:\/\/my-cache"\n/,
  )
  expect(stdout).toMatch(/^To fetch from a private bucket, they need a Nix that was built with S3/m)
  expect(stdout).toMatch(/would write \S+\/post-build-hook \(0755\):\n {4}\| #!\/bin\/sh\n/)
  await init(dir, ['--to', 's3://my-cache'])
  const secret = readFileSync(join(dir, 'etc/cache.key'), 'utf8').trim()
  const again = await init(dir, ['--dry-run', '--yes'])
  expect(again.stdout + again.stderr).not.toContain(secret.split(':')[1])
})

test('--no-sign makes no key, and says what that means', async () => {
  const dir = tempDir()
  const { stdout } = await init(dir, ['--to', 'ssh-ng://host', '--no-sign'])
  expect(readdirSync(join(dir, 'etc'))).not.toContain('cache.key')
  expect(stdout).toMatch(/Nix takes no unsigned paths/)
  expect(stdout).not.toContain('trusted-public-keys =')
})

test('a URL that names a key is signed with that, and gets no other', async () => {
  const dir = tempDir()
  const to = `file://${join(dir, 'cache')}?secret-key=${join(dir, 'mine.key')}`
  const { stdout, stderr, exitCode } = await init(dir, ['--to', to, '--dry-run'])
  expect([exitCode, stderr]).toEqual([0, ''])
  expect(stdout).not.toMatch(/key pair|secret-key-file = |cache\.key|not signed/)
  expect(stdout).toContain(to)
})

test('a key that is there is used and kept', async () => {
  const dir = tempDir()
  await init(tempDirIn(dir, 'first'), ['--to', 's3://a'])
  const key = join(dir, 'first/etc/cache.key')
  const before = readFileSync(key, 'utf8')
  const { stdout } = await init(tempDirIn(dir, 'second'), ['--to', 's3://b', '--secret-key-file', key])
  expect(readFileSync(key, 'utf8')).toBe(before)
  expect(stdout).toContain(readFileSync(join(dir, 'first/etc/cache.pub'), 'utf8').trim())
})

function tempDirIn(dir: string, name: string): string {
  mkdirSync(join(dir, name))
  return join(dir, name)
}

describe('--root', () => {
  const inRoot = (dir: string, args: string[]) => {
    const env = { PATH: `${versions.at(-1)?.bin}:${process.env.PATH}`, HOME: dir }
    const flags = ['--root', dir, '--to', 'file:///srv/cache', ...args]
    return runProgram(process.execPath, [NIX_UPLOAD, 'init', ...flags], { env, cwd: dir })
  }

  test('--install puts hook, units and fragments below it, and runs nothing', async () => {
    const dir = tempDir()
    const { stdout, stderr, exitCode } = await inRoot(dir, ['--install'])
    expect(exitCode, stderr).toBe(0)
    expect(stderr).not.toMatch(/^ran /m)
    expect(stdout).toMatch(
      /^ {4}systemctl restart nix-daemon\n {4}systemctl enable --now nix-upload\.service$/m,
    )
    expect(readdirSync(join(dir, 'etc/systemd/system')).sort()).toEqual([
      'nix-upload-drain.path',
      'nix-upload-drain.service',
      'nix-upload-drain.service.d',
      'nix-upload-drain.timer',
      'nix-upload.service',
      'nix-upload.service.d',
    ])
    const dropIn = readFileSync(join(dir, 'etc/systemd/system/nix-upload.service.d/init.conf'), 'utf8')
    expect(dropIn).toMatch(/^\[Service\]\nReadWritePaths=\/srv\/cache$/m)
    for (const path of ['var/spool/nix-upload/new', 'nix/var/nix/gcroots/nix-upload', 'srv/cache'])
      expect(existsSync(join(dir, path))).toBe(true)
    expect(statSync(join(dir, 'etc/nix/nix-upload-hook')).mode & 0o777).toBe(0o755)
    expect(stdout).toMatch(/^ {4}post-build-hook = \/etc\/nix\/nix-upload-hook$/m)
    expect(readFileSync(join(dir, 'etc/sysusers.d/nix-upload.conf'), 'utf8')).toMatch(/^u nix-upload /m)
  })

  test('without --install, where units are installed, it prints the same, and how to bring them up to date', async () => {
    const dir = tempDir()
    const installed = await inRoot(dir, ['--install'])
    const unit = join(dir, 'etc/systemd/system/nix-upload.service')
    writeFileSync(unit, `${readFileSync(unit, 'utf8')}# of an older version\n`)
    const again = await inRoot(dir, [])
    expect([again.exitCode, again.stdout]).toEqual([0, installed.stdout])
    expect(again.stderr).toMatch(
      /^the units are installed already, and are kept as they are; `nix-upload init --install`/m,
    )
    expect(readFileSync(unit, 'utf8')).toMatch(/# of an older version\n$/)
  })

  test('without --install, where there are no units, a daemon is started by hand', async () => {
    const { stdout, stderr } = await inRoot(tempDir(), [])
    expect(stdout).toMatch(/nix-upload watch$/m)
    expect(stdout + stderr).not.toMatch(/nix-upload\.service|units/)
  })

  test('--install lets the units write to each cache, and where the metrics go', async () => {
    const dir = tempDir()
    mkdirSync(join(dir, 'etc/nix-upload'), { recursive: true })
    const section = (name: string) => `[[destination]]\nname = "${name}"\nto = "file:///srv/${name}"\n`
    const home = '[[destination]]\nname = "home"\nto = "file:///home/cache"\n'
    const config = `metrics-file = "/var/lib/metrics/x.prom"\n${section('one')}${section('two')}${home}`
    writeFileSync(join(dir, 'etc/nix-upload/config.toml'), config)
    const { stderr, exitCode } = await runProgram(
      process.execPath,
      [NIX_UPLOAD, 'init', '--root', dir, '--install'],
      { env: { PATH: process.env.PATH ?? '', HOME: dir }, cwd: dir },
    )
    expect(exitCode, stderr).toBe(0)
    const dropIn = readFileSync(join(dir, 'etc/systemd/system/nix-upload.service.d/init.conf'), 'utf8')
    expect(dropIn.match(/^ReadWritePaths=.*$/gm)).toEqual([
      'ReadWritePaths=/srv/one',
      'ReadWritePaths=/srv/two',
      'ReadWritePaths=/home/cache',
      'ReadWritePaths=-/var/lib/metrics',
    ])
    expect(dropIn).toContain('\nProtectHome=tmpfs\nBindPaths=-/home/cache\n')
    expect(readdirSync(join(dir, 'srv')).sort()).toEqual(['one', 'two'])
  })

  test('of a NixOS: nothing but the key, and the lines for its module', async () => {
    const dir = tempDir()
    mkdirSync(join(dir, 'etc'))
    writeFileSync(join(dir, 'etc/NIXOS'), '')
    const { stdout, stderr, exitCode } = await inRoot(dir, ['--install'])
    expect(exitCode, stderr).toBe(0)
    expect(readdirSync(join(dir, 'etc')).sort()).toEqual(['NIXOS', 'nix-upload'])
    expect(readdirSync(join(dir, 'etc/nix-upload')).sort()).toEqual(['cache.key', 'cache.pub'])
    expect(stdout).toContain('    services.nix-upload = {\n      enable = true;\n')
    expect(stdout).toContain('        secretKeyFile = "/etc/nix-upload/cache.key";\n')
    expect(stdout).not.toContain('post-build-hook =')
  })
})

test('on a terminal it asks, shows what it will do, and asks again', async () => {
  const dir = tempDir()
  const env = {
    PATH: `${versions.at(-1)?.bin}:${process.env.PATH}`,
    HOME: dir,
    NIX_UPLOAD_GCROOTS: `${dir}/gcroots`,
  }
  const flags = `--config ${dir}/etc/config.toml --spool ${dir}/spool --no-install`
  const command = `${process.execPath} ${NIX_UPLOAD} init ${flags}`
  // An answer a question: script(1) passes them on as they are asked for.
  const answers = `ftp://wrong\nfile://${dir}/cache\ny\nmy key\nmy-key-1\ny\n`
  const asked = await runProgram('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    env,
    cwd: dir,
    input: answers,
  })
  expect(asked.stdout).toMatch(/Upload to which store URL\?/)
  expect(asked.stdout).toMatch(/expected a store URL/)
  expect(asked.stdout).toMatch(/a name without spaces and colons/)
  expect(asked.stdout).toMatch(/Go ahead\? \[Y\/n\]/)
  expect(readFileSync(join(dir, 'etc/cache.pub'), 'utf8')).toMatch(/^my-key-1:/)
  expect(asked.exitCode).toBe(0)
})

test('what was typed ahead of the questions counts, also when nothing comes after it', async () => {
  const asker = new URL('../../src/cli/init/asker.ts', import.meta.url)
  const script = `
    const asker = new (await import('${asker}')).Asker()
    const answers = [await asker.question('1? ')]
    await new Promise((resolve) => setTimeout(resolve, 200))
    answers.push(await asker.question('2? '), await asker.yesOrNo('3?', false))
    console.log(answers.join())
    await asker.question('4? ')`
  const args = ['--input-type=module', '--eval', script]
  const { stdout, stderr } = await runProgram(process.execPath, args, { input: 'a\nb\ny\n' })
  expect(stdout).toBe('a,b,true')
  expect(stderr).toMatch(/1\? 2\? 3\? \[y\/N\] 4\? [\s\S]*nothing was written/)
})

test.each<[args: string[], message: RegExp]>([
  [[], /the destination is missing: use --to URL, or --yes for file:\/\/.*spool-cache/],
  [['--to', 'ftp://x'], /--to: expected a store URL/],
  [['--to', 's3://x', '--key-name', 'a:b'], /--key-name: expected a name without spaces and colons/],
  [['--to', 's3://x', '--install'], /--install: the units read \/etc\/nix-upload\/config.toml/],
])('2, and nothing is written: %j', async (args, message) => {
  const dir = tempDir()
  const { stderr, exitCode } = await init(dir, args)
  expect(stderr).toMatch(message)
  expect([exitCode, readdirSync(dir)]).toEqual([2, []])
})

test.each<[variable: string, args: string[], message: RegExp]>([
  [
    '/srv/nix-upload.toml',
    ['--install'],
    /^nix-upload: --install: the units read .* or NIX_UPLOAD_CONFIG is possible/,
  ],
  [
    '/dev/null',
    [],
    /^nix-upload: \/dev\/null is no file, so no configuration can be there: use --config FILE/,
  ],
  ['etc/config.toml', [], /^nix-upload: NIX_UPLOAD_CONFIG: expected an absolute path/],
])(
  'NIX_UPLOAD_CONFIG=%s counts as --config does, %j: nothing is written',
  async (variable, args, message) => {
    const dir = tempDir()
    const env = {
      PATH: `${process.env.PATH}`,
      HOME: dir,
      NIX_UPLOAD_CONFIG: variable,
      NIX_UPLOAD_GCROOTS: join(dir, 'gcroots'),
    }
    const flags = ['init', '--to', 's3://x', '--spool', join(dir, 'spool'), ...args]
    const { stderr, exitCode } = await runProgram(process.execPath, [NIX_UPLOAD, ...flags], { cwd: dir, env })
    expect(stderr).toMatch(message)
    expect([exitCode === 0, readdirSync(dir)]).toEqual([false, []])
  },
)
