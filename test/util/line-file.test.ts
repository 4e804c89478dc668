import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { isProgress } from '../../src/nix/messages.ts'
import { LineFile } from '../../src/util/line-file.ts'
import { run } from '../../src/util/run-program.ts'

function temporary(): string {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-lines-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

/** Has a shell write to the file. */
async function written(file: LineFile, script: string): Promise<void> {
  await once(spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', file.stream] }), 'close')
}

test('every line is read once, in order, whole, and the last one also where it has no end', async () => {
  const lines: string[] = []
  const expected = Array.from({ length: 20_000 }, (_, at) => `line ${at + 1} \u{1F600}\u00e9`)
  await run(
    'sh',
    ['-c', 'i=0; while [ $((i+=1)) -le 20000 ]; do echo "line $i \u{1F600}\u00e9"; done >&2; printf end >&2'],
    {
      onLine: (line) => lines.push(line),
      isTalkative: true,
    },
  )
  expect(lines).toEqual([...expected, 'end'])
})

test('lines are read while the program runs, and what it started and left behind keeps nobody waiting', async () => {
  const dir = temporary()
  const lines: string[] = []
  const began = performance.now()
  const script = `sleep 60 & echo one >&2; until [ -e '${dir}/go' ]; do sleep 0.1; done; echo two >&2`
  const running = run('sh', ['-c', script], { onLine: (line) => lines.push(line), isTalkative: true })
  await vi.waitFor(() => expect(lines).toEqual(['one']), { timeout: 30_000 })
  writeFileSync(join(dir, 'go'), '')
  expect(await running).toMatchObject({ exitCode: 0, lines: ['one', 'two'] })
  expect(performance.now() - began).toBeLessThan(50_000)
})

test('it has no name, so that nothing is left of it whatever ends us', () => {
  const dir = temporary()
  vi.stubEnv('TMPDIR', dir)
  onTestFinished(() => void vi.unstubAllEnvs())
  const file = new LineFile(() => undefined)
  expect(readdirSync(dir)).toEqual([])
  file.end()
})

test('where none can be made it is said where, and what to do', () => {
  vi.stubEnv('TMPDIR', join(temporary(), 'gone'))
  onTestFinished(() => void vi.unstubAllEnvs())
  expect(() => new LineFile(() => undefined)).toThrow(
    /^can't make a temporary file in .*\/gone; .*TMPDIR.*: no such/,
  )
})

test('one that has become large is emptied, and goes on', async () => {
  const lines: string[] = []
  const file = new LineFile((line) => lines.push(line), 1000)
  const size = () => fstatSync(Reflect.get(file.stream, 'fd')).size
  await written(file, 'seq 1 1000 >&2')
  expect(size()).toBeGreaterThan(1000)
  await vi.waitFor(() => expect(size()).toBe(0), { timeout: 30_000 })
  await written(file, 'echo after >&2')
  file.end()
  expect(lines).toEqual([...Array.from({ length: 1000 }, (_, at) => `${at + 1}`), 'after'])
  await sleep(150) // nothing looks at a file that is closed
})

test("Nix's progress is not kept, so that it can't drown what is said between", async () => {
  const script = `echo 'error: first' >&2; yes '@nix {"action":"result","type":105}' | head -1000 >&2; echo '@nix {"action":"msg","level":0,"msg":"second"}' >&2; exit 1`
  for (const isTalkative of [false, true]) {
    const { lines } = await run('sh', ['-c', script], { isTalkative, isNoise: isProgress })
    expect(lines).toEqual(['error: first', '@nix {"action":"msg","level":0,"msg":"second"}'])
  }
})
