// What an unprivileged user of the machine can do to a spool: nothing, even where everything was made with a umask that
// forbids nothing.

import { chmodSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { HOOK, makeSite, NIX_UPLOAD } from '../integration/site.ts'
import { must } from '../support/run.ts'

const AS_NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups', '--']

test('nobody else may write, rename, remove, pause or lock anything, whatever the umask', {
  timeout: 60_000,
}, async () => {
  expect(process.geteuid?.(), 'this is about another user').toBe(0)
  const site = await makeSite()
  const [one = '', two = ''] = await site.paths(2)
  const run = (script: string) =>
    site.nix.run('sh', ['-c', `umask 0; ${script}`], { env: { ...site.env, OUT_PATHS: two }, cwd: '/' })
  must(await run(`${NIX_UPLOAD} enqueue ${one} && ${HOOK} && ${NIX_UPLOAD} pause`), 'queue')
  chmodSync(site.nix.dir, 0o755)
  const attempts = () => [
    ...['', 'tmp', 'new', 'cur', 'done', 'failed'].map((name) => `touch ${join(site.spool, name)}/x`),
    ...[
      'rm paused',
      'mv paused p',
      'mv new old',
      'rmdir cur',
      'mkdir daemon.lock',
      'ln -s /tmp paused.default',
    ],
    ...[
      'rm new/*',
      'mv new/* done/',
      'echo x >>"$(echo new/*hello* new/*path* | cut -d" " -f2)"',
      'chmod 777 new',
    ],
    ...[`ln -s /nix ${site.gcroots}/x`, `rm ${site.gcroots}/*`, `mv ${site.gcroots} ${site.gcroots}.old`],
  ]
  const before = [readdirSync(site.spool), readdirSync(site.path('new')), site.roots()]
  for (const attempt of attempts()) {
    const command = ['setpriv', ...AS_NOBODY, 'sh', '-c', `cd ${site.spool} && ${attempt}`]
    const { exitCode, stderr } = await site.nix.run(command[0] ?? '', command.slice(1), { cwd: '/' })
    expect(exitCode, attempt).not.toBe(0)
    expect(stderr, attempt).toMatch(/Permission denied|not permitted|Read-only/i)
  }
  expect([readdirSync(site.spool), readdirSync(site.path('new')), site.roots()]).toEqual(before)

  must(await run(`${NIX_UPLOAD} resume && ${NIX_UPLOAD} drain`), 'deliver')
  const found = await site.nix.run('find', [site.spool, site.gcroots, '-perm', '/022', '!', '-type', 'l'])
  expect(found.stdout).toBe('')
  expect(readdirSync(site.env.TMPDIR ?? '')).toEqual([])
})
