// Files that are no valid jobs, all in one spool with good ones: each is set aside with its reason, as it was, and
// holds up nobody.

import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { UNPRIVILEGED } from './circumstances.ts'
import { makeSite, type Site } from './site.ts'

interface Row {
  /** What is put into new/, and under which name. */
  is: string
  content?: (site: Site) => string | Buffer
  make?: (site: Site, path: string) => Promise<unknown>
  /** What the note beside it says. */
  reason: RegExp
}

const job = (...outPaths: unknown[]) => JSON.stringify({ version: 1, outPaths })
const HASH = '0'.repeat(32)

const ROWS: Row[] = [
  { is: 'empty', content: () => '', reason: /empty/ },
  {
    is: 'truncated',
    content: ({ nix }) => job(`${nix.storeDir}/${HASH}-x`).slice(0, -4),
    reason: /not JSON/,
  },
  { is: 'not-json', content: () => 'please upload everything\n', reason: /not JSON/ },
  { is: 'not-text', content: () => Buffer.from([0xff, 0xfe, 0, 0x80]), reason: /not UTF-8/ },
  { is: 'a-list', content: () => '[]', reason: /should be a JSON object/ },
  { is: 'of-nothing', content: () => '{"version":1}', reason: /neither "outPaths" nor "drvPath"/ },
  { is: 'from-the-future', content: () => '{"version":2,"outPaths":[]}', reason: /"version" is 2/ },
  { is: 'no-list', content: () => '{"outPaths":"/nix/store/x"}', reason: /"outPaths" should be an array/ },
  { is: 'a-number', content: () => job(42), reason: /"outPaths"\[0\] should be a store path/ },
  { is: 'outside', content: () => job('/etc/passwd'), reason: /should be a store path .*"\/etc\/passwd"/ },
  {
    is: 'climbing',
    content: ({ nix }) => job(`${nix.storeDir}/${HASH}-x/../../y`),
    reason: /should be a store path/,
  },
  { is: 'an-option', content: () => job('--to=http://evil.example'), reason: /should be a store path/ },
  { is: 'a-dash', content: () => job('-'), reason: /should be a store path/ },
  {
    is: 'no-drv',
    content: ({ nix }) => `{"drvPath":"${nix.storeDir}/${HASH}-x"}`,
    reason: /is no derivation/,
  },
  {
    is: 'huge',
    content: () => Buffer.alloc(10 << 20, ' '),
    reason: /10485760 bytes long; a job has at most/,
  },
  { is: 'a-directory', make: (_, path) => mkdir(path), reason: /it is a directory/ },
  { is: 'a-symlink', make: (_, path) => symlink('/etc/passwd', path), reason: /it is a symlink/ },
  { is: 'a-dead-link', make: (_, path) => symlink('nowhere', path), reason: /it is a symlink/ },
  { is: 'a-fifo', make: ({ nix }, path) => nix.run('mkfifo', [path]), reason: /not a regular file/ },
  {
    is: 'unreadable',
    content: () => 'secret',
    make: (_, path) => chmod(path, 0),
    reason: /cannot be read: permission denied/,
  },
]

test.each(['drain', 'watch'])(
  'bad input is set aside and good jobs are delivered by `%s`',
  { timeout: 60_000 },
  async (command) => {
    const site = await makeSite()
    await site.makeSpool()
    for (const row of ROWS) {
      const path = site.path('new', row.is)
      if (row.content) await writeFile(path, row.content(site))
      await row.make?.(site, path)
    }
    const before = new Map(ROWS.map(({ is }) => [is, snapshot(site.path('new', is))]))
    // Names are for people: the daemon reads nothing into them.
    const goodNames = ['-rf', 'no ending', 'two\nlines.json', 'grün.json', `${'x'.repeat(240)}.json`]
    const paths = await site.paths(goodNames.length)
    for (const [at, name] of goodNames.entries()) await site.handOver(name, job(paths[at]))

    const daemon = site.start([command], UNPRIVILEGED)
    await site.settle('failed', ROWS.length)
    await site.settle('done', goodNames.length)
    if (command === 'watch') await daemon.stop()
    expect(await daemon.exited).toBe(command === 'watch' ? 0 : 1)

    expect(site.names('done')).toEqual(goodNames.sort())
    expect(paths.filter((path) => !site.isCached(path))).toEqual([])
    expect(site.counts()).toMatchObject({ new: 0, cur: 0 })
    for (const { is, reason } of ROWS) {
      expect.soft(snapshot(site.path('failed', is)), is).toEqual(before.get(is))
      expect.soft(readFileSync(site.path('failed', `${is}.reason`), 'utf8'), is).toMatch(reason)
    }
    // A line of the log for each, and never a stack trace.
    for (const line of daemon.log) expect(line).toMatch(/^(\{"level":.*\}|nix-upload: .*)$/)
  },
)

test('a path that was never in the store fails its own job only, and the job says why', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const paths = await site.paths(3)
  const never = `${site.nix.storeDir}/${HASH}-never-built`
  await site.enqueue(paths)
  await site.handOver('never', job(never))
  const [some = ''] = await site.paths(1)
  await site.handOver('one-of-two', job(some, never))

  expect(await site.run(['drain'])).toMatchObject({ exitCode: 1 })
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 3, failed: 2 })
  for (const name of ['never', 'one-of-two']) {
    const { state, error } = await site.delivery('failed', name)
    expect({ state, error }).toEqual({ state: 'failed', error: expect.stringContaining(never) })
  }
  expect(site.names('failed')).toEqual(['never', 'one-of-two'])
})

test('a file that cannot be claimed stays where it is and keeps nobody waiting', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [one, ...others] = await site.paths(4)
  // One has a name that no string can hold, one lies on a bad sector. They were there before the others.
  const noText = Buffer.concat([Buffer.from(site.path('new', 'name-')), Buffer.from([0xff])])
  await writeFile(noText, job(one))
  await site.handOver('bad-sector', job(one))
  await site.enqueue(others)

  const badSector = ['-P', site.path('new', 'bad-sector'), '-e', 'inject=openat:error=EIO']
  const daemon = site.start(['drain'], ['strace', '-f', '-qq', '-o', '/dev/null', ...badSector])
  expect(await daemon.exited).toBe(75)
  expect(site.counts()).toEqual({ new: 2, cur: 0, done: 3, failed: 0 })
  await daemon.says('its name is not UTF-8 text')
  await daemon.says(`i/o error: ${site.path('new', 'bad-sector')}`)
})

/** What must not change: the kind of file, its content, where it leads. */
function snapshot(path: string): unknown {
  const stats = lstatSync(path)
  const kind = { mode: stats.mode, size: stats.isDirectory() ? 0 : stats.size }
  if (stats.isSymbolicLink()) return { ...kind, target: readlinkSync(path) }
  // What may not be read is the same file, or it isn't.
  if ((stats.mode & 0o400) === 0) return { ...kind, inode: stats.ino }
  return stats.isFile() ? { ...kind, bytes: readFileSync(path).toString('base64') } : kind
}
