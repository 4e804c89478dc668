// What `nix-upload exec` lays down for root to run, and what it tells the command that it runs.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { build } from '../cli/cli.ts'
import { building, exec, leftIn } from '../cli/exec/bed.ts'
import { makeSite, NIX_UPLOAD } from '../integration/site.ts'

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups', '--']

beforeAll(build)

test('its spool and its hook are nobody else’s to read or write, whatever the umask; also what it leaves', async () => {
  expect(process.geteuid?.(), 'this is about another user').toBe(0)
  const site = await makeSite()
  chmodSync(site.nix.dir, 0o755)
  const tmp = site.env.TMPDIR ?? ''
  chmodSync(tmp, 0o1777)
  const [path = ''] = await site.paths(1)
  const tries = ['ls $d', 'cat $d/hook', 'touch $d/x $d/spool/new/x', 'rm -r $d', 'mv $d $d.old']
  const asNobody = tries.map(
    (what) => `setpriv ${NOBODY.join(' ')} sh -c 'd=$0; ${what}' "$d" && echo "did: ${what}"`,
  )
  const look = `d=$(echo ${tmp}/nix-upload-exec-*); ${asNobody.join('; ')}; find $d -perm /022 ! -type l`
  // Where nothing listens, so that the spool is kept.
  const { stdout, exitCode } = await exec(
    site,
    ['--to', 'http://127.0.0.1:1', '--linger', '0s'],
    ['sh', '-c', `${NIX_UPLOAD} enqueue ${path} >&2; { ${look}; } 2>/dev/null; exit 0`],
    { before: ['sh', '-c', 'umask 0; exec "$0" "$@"'] },
  )
  expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 75 })
  const [left = ''] = leftIn(tmp)
  const found = await site.nix.run('find', [join(tmp, left), '-maxdepth', '0', '-perm', '/077'])
  expect([left === '', found.stdout]).toEqual([false, ''])
})

test('in a directory for temporary files where anybody could exchange the hook, nothing is started', async () => {
  const site = await makeSite()
  const tmp = site.env.TMPDIR ?? ''
  chmodSync(tmp, 0o777)
  const { stderr, exitCode } = await exec(
    site,
    ['--to', `file://${site.cache}`],
    ['touch', join(tmp, 'started')],
  )
  expect(stderr).toMatch(/^nix-upload: any user could replace files in .*not sticky; set TMPDIR to another$/m)
  expect([exitCode, readdirSync(tmp)]).toEqual([78, []])
})

test('what a name holds is no code in the hook that root runs', async () => {
  const site = await makeSite()
  const marker = join(site.nix.dir, 'ran')
  const hostile = `it's\`touch\${IFS}${marker}\`$(touch\${IFS}${marker})"`.replaceAll(marker, '$MARKER')
  const tmp = join(site.env.TMPDIR ?? '', hostile)
  mkdirSync(tmp)
  const command = await building(site, { name: 'quoted' })
  const { stderr, exitCode } = await exec(site, ['--to', `file://${site.cache}`], command, {
    env: { TMPDIR: tmp, MARKER: marker },
  })
  expect(exitCode, stderr).toBe(0)
  expect(stderr).toMatch(/^nix-upload: 1 uploaded$/m)
  expect([existsSync(marker), leftIn(tmp)]).toEqual([false, []])
})

test('the command gets three variables more than it had, and no secret in one of them', async () => {
  const site = await makeSite()
  const { secretKeyFile } = await site.nix.keyPair('ci-1')
  const key = readFileSync(secretKeyFile, 'utf8').trim().split(':')[1] ?? 'no key'
  const token = 'access-tokens = github.com=ghp_secret-of-mine'
  const hook = `cat "$(echo "$NIX_CONFIG" | sed -n 's/^post-build-hook = //p')"`
  const { stdout, stderr, exitCode } = await exec(
    site,
    ['--to', `file://${site.cache}`, '--secret-key-file', secretKeyFile],
    ['sh', '-c', `env -0 | tr '\\n\\0' ' \\n'; ${hook}`],
    { env: { NIX_CONFIG: token } },
  )
  expect(exitCode, stderr).toBe(0)
  const names = [...stdout.matchAll(/^(NIX_UPLOAD\w*|NIX_CONFIG)=/gm)].map(([, name]) => name)
  const given = ['NIX_CONFIG', 'NIX_UPLOAD_GCROOTS', 'NIX_UPLOAD_SPOOL']
  // Once in its environment, and what is the hook's own in the hook.
  expect([...new Set(names)].sort()).toEqual([...given, 'NIX_UPLOAD_STRICT'].sort())
  const environment = stdout.slice(0, stdout.indexOf('#!/bin/sh'))
  const known = new Set([
    ...Object.keys(site.env),
    'PWD',
    'OLDPWD',
    'SHLVL',
    '_',
    'NODE_COMPILE_CACHE',
    ...given,
  ])
  expect(
    [...environment.matchAll(/^(\w+)=/gm)].map(([, name = '']) => name).filter((name) => !known.has(name)),
  ).toEqual([])
  expect([stdout, stderr].filter((text) => text.includes(key) || text.includes(secretKeyFile))).toEqual([])
  // What was in NIX_CONFIG stays there, and is nowhere else.
  expect([stdout.split(token).length, stderr.includes('ghp_')]).toEqual([2, false])
})
