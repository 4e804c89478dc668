import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { isOpenAlready, readPlainFile } from '../../src/util/plain-file.ts'
import { tempDir } from '../spool/temp-spool.ts'

test('a file is read, also over a symlink; /dev/null is an empty one', () => {
  const dir = tempDir()
  writeFileSync(join(dir, 'file'), 'text')
  symlinkSync('file', join(dir, 'link'))
  symlinkSync('/dev/null', join(dir, 'masked'))
  expect(['file', 'link', 'masked'].map((name) => readPlainFile(join(dir, name)))).toEqual([
    'text',
    'text',
    '',
  ])
})

test('what could block or never end is refused at once: a FIFO, a socket, a device, a directory', async () => {
  const dir = tempDir()
  const at = (name: string) => join(dir, name)
  execFileSync('mkfifo', [at('fifo')])
  mkdirSync(at('directory'))
  const server = createServer()
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(at('socket'), resolve))
  for (const [path, what] of [
    [at('fifo'), 'a FIFO'],
    [at('socket'), 'a socket'],
    [at('directory'), 'a directory'],
    ['/dev/zero', 'a device'],
  ] as const) {
    expect(() => readPlainFile(path)).toThrow(`it is ${what}, not a regular file: ${path}`)
  }
})

test.each([
  ['/dev/stdin', true],
  ['/dev/fd/63', true],
  ['/proc/self/fd/0', true],
  ['/dev/fd/../zero', false],
  ['/dev/null', false],
  ['/srv/dev/fd/3', false],
])('%s is open already: %s', (path, isOpen) => {
  expect(isOpenAlready(path)).toBe(isOpen)
})
