// A spool that cannot be used is said to be so in one line; a full disk is lived through.

import { existsSync, readdirSync } from 'node:fs'
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeNamespace, UNPRIVILEGED } from './circumstances.ts'
import { until } from './daemon.ts'
import { makeSite, NIX_UPLOAD, type Site } from './site.ts'

interface Row {
  is: string
  make: (site: Site) => Promise<unknown>
  /** Mounted before the program is run. */
  mount?: (site: Site) => string
  says: (site: Site) => string
}

const ROWS: Row[] = [
  {
    is: 'whose parent is missing',
    make: async () => undefined,
    says: ({ spool }) => `can't make the spool directory ${spool}/below/spool: ${spool}/below does not exist`,
  },
  {
    is: 'that is a file',
    make: ({ spool }) => writeFile(spool, ''),
    says: ({ spool }) => `${spool} is in the way: the spool needs a directory there`,
  },
  {
    is: 'with a file where cur/ should be',
    make: async ({ spool }) => {
      await mkdir(spool)
      await writeFile(join(spool, 'cur'), '')
    },
    says: ({ spool }) => `${spool}/cur is in the way: the spool needs a directory there`,
  },
  {
    is: 'with a symlink where new/ should be',
    make: async ({ spool }) => {
      await mkdir(spool)
      await symlink('/tmp', join(spool, 'new'))
    },
    says: ({ spool }) => `${spool}/new is in the way: the spool needs a directory there`,
  },
  {
    is: 'that may not be written',
    make: async (site) => {
      await mkdir(site.spool)
      await chmod(site.spool, 0o555)
    },
    says: ({ spool }) => `can't make the spool directory ${spool}/tmp: permission denied`,
  },
  {
    is: 'on a read-only filesystem',
    make: (site) => site.makeSpool(),
    mount: ({ spool }) => `mount --bind ${spool} ${spool}; mount -o remount,ro,bind ${spool}`,
    says: () => 'read-only file system',
  },
  {
    is: 'with new/ on another filesystem',
    make: (site) => site.makeSpool(),
    mount: ({ spool }) => `mount -t tmpfs tmpfs ${spool}/new`,
    says: ({ spool }) => `${spool}/new and ${spool}/tmp do not`,
  },
]

test.each(ROWS)('a spool $is is refused in one line', { timeout: 60_000 }, async ({ make, mount, says }) => {
  const site = await makeSite()
  await make(site)
  const enter = mount ? (await makeNamespace(mount(site))).enter : []
  const missing = existsSync(site.spool) ? [] : ['--spool', join(site.spool, 'below/spool')]
  const path = await site.nix.addToStore('x', 'x')
  const commands = [['watch'], ['drain'], ['enqueue', path]]
  const daemons = commands.map((args) => site.start([...args, ...missing], [...enter, ...UNPRIVILEGED]))
  for (const daemon of daemons) {
    expect(await daemon.exited).toBe(1)
    expect(daemon.log).toEqual([expect.stringMatching(/^nix-upload: /)])
    expect(daemon.log[0]).toContain(says(site))
  }
})

test('a full disk loses nothing and ends nothing; with room again, all goes on', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const { enter, seen } = await makeNamespace(`mount -t tmpfs -o size=256k tmpfs ${site.spool}
    cd ${site.spool} && mkdir tmp new cur done failed`)
  const spool = seen(site.spool)
  const run = (args: string[]) =>
    site.nix.run(enter[0] ?? '', [...enter.slice(1), NIX_UPLOAD, ...args], { env: site.env })
  const jobs = (state: string) => readdirSync(join(spool, state)).length
  const [one = '', two = '', three = ''] = await site.paths(3)

  await run(['enqueue', one])
  const never = `${site.nix.storeDir}/${'0'.repeat(32)}-never-built`
  await writeFile(join(spool, 'new/never'), JSON.stringify({ outPaths: [never] }))
  await writeFile(join(spool, 'new/bad'), 'x')
  await site.nix.run('sh', ['-c', `cat /dev/zero > ${spool}/filler`])

  const daemon = await site.watch(await site.configured('rescan-interval = "200ms"\n'), enter)
  await until(() => jobs('done') === 1, 'the delivery of what was queued before')
  expect(site.isCached(one)).toBe(true)
  // What can't be written down stays in the queue.
  await daemon.says('"never"')
  await daemon.says('"bad"')
  expect(jobs('failed')).toBe(0)
  // Whoever has room for nothing is told so.
  const refused = await run(['enqueue', two])
  expect(refused).toMatchObject({
    exitCode: 1,
    stdout: '',
    stderr: expect.stringMatching(/^nix-upload: .*no space left on device/),
  })
  expect(refused.stderr.split('\n')).toHaveLength(1)

  await rm(join(spool, 'filler'))
  expect(await run(['enqueue', two, three])).toMatchObject({ exitCode: 0 })
  await until(() => jobs('done') === 3, 'the deliveries')
  await until(
    () => readdirSync(join(spool, 'failed')).sort().join() === 'bad,bad.reason,never',
    'the two that fail',
  )
  expect(jobs('new') + jobs('cur')).toBe(0)
  expect(await daemon.stop()).toBe(0)
  for (const line of daemon.log) expect(line).toMatch(/^\{"level":.*\}$/)
})
