import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { whereToSet } from '../../src/util/unit.ts'
import { tempDir } from '../spool/temp-spool.ts'

test('the variables of a service are set in the file that init made, or else in its unit', () => {
  const file = join(tempDir(), 'environment')
  expect(whereToSet(true, file)).toBe(' in its unit')
  writeFileSync(file, '')
  expect(whereToSet(true, file)).toBe(` in ${file} (then restart the service)`)
  expect(whereToSet(false, file)).toBe('')
})
