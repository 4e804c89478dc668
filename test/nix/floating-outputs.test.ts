// Which store paths only a realisation tells the derivation of.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { floatingOutputsOf } from '../../src/nix/floating-outputs.ts'

const path = (name: string) => `/nix/store/${'0'.repeat(32)}-${name}`

/** A derivation called `app`, of which the file says this. */
function derivation(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'nix-upload-drv-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = join(directory, `${'1'.repeat(32)}-app.drv`)
  writeFileSync(file, text)
  return file
}

const FLOATING = 'Derive([("out","","r:sha256","")],[],[],"x","y",[],[])'

test.each([
  ['floating', FLOATING],
  ['of a later format', `DrvWithVersion("xp-dyn-drv",${FLOATING.slice('Derive('.length)}`],
])('outputs of a derivation that is %s are found by their names', (_, text) => {
  const drvPath = derivation(text)
  const [out, dev] = [path('app'), path('app-dev')]
  const outputs = floatingOutputsOf(drvPath, [out, path('other'), dev, path('apple')])
  expect(outputs).toEqual({
    drvPath,
    paths: new Map([
      ['out', out],
      ['dev', dev],
    ]),
  })
  expect(floatingOutputsOf(drvPath, [path('other')])).toBeUndefined()
})

test.each([
  ['an ordinary one', `Derive([("out","${path('app')}","","")],[],[],"x","y",[],[])`],
  ['one with a fixed output', `Derive([("out","${path('app')}","r:sha256","00")],[],[],"x","y",[],[])`],
  ['an impure one', 'Derive([("out","","r:sha256","impure")],[],[],"x","y",[],[])'],
  ['no derivation', ''],
])('%s has none', (_, text) => {
  expect(floatingOutputsOf(derivation(text), [path('app')])).toBeUndefined()
})

test('one that is gone has none', () => {
  expect(
    floatingOutputsOf('/nowhere/00000000000000000000000000000000-app.drv', [path('app')]),
  ).toBeUndefined()
})
