import { writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isForThisMachine, namesInHostsFile } from '../../../src/daemon/page/own-names.ts'
import { tempDir } from '../../spool/temp-spool.ts'

describe('a request is for this machine', () => {
  const MORE = ['Builder.example.org', '0.0.0.0']

  test.each([
    '127.0.0.1',
    '127.0.0.1:9850',
    '192.0.2.7:9850',
    '[::1]',
    '[::1]:9850',
    '[2001:db8::7]:9850',
    'localhost',
    'LOCALHOST:9850',
    'localhost.:9850',
    hostname(),
    `${hostname()}:9850`,
    `${hostname()}.local:9850`,
    'builder.example.org',
    'BUILDER.example.org.:443',
  ])('where it names %s', (host) => {
    expect(isForThisMachine(host, MORE)).toBe(true)
  })

  test.each([
    undefined,
    '',
    ':9850',
    'evil.example',
    'evil.example:9850',
    'localhost.evil.example',
    'evil-localhost',
    `${hostname()}.evil.example`,
    'builder.example.org.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
    'evil.example/127.0.0.1',
    'localhost evil.example',
    'localhost:80:80',
    '[::1].evil.example',
    '[evil.example]',
    'localhost..',
  ])('and not where it names %j', (host) => {
    expect(isForThisMachine(host, MORE)).toBe(false)
  })
})

describe('/etc/hosts', () => {
  test('names this machine by its own addresses only', () => {
    const file = join(tempDir(), 'hosts')
    const lines = [
      '127.0.0.1 localhost # a.example',
      '127.0.1.1\tbuilder.example.org  builder',
      '# 127.0.0.1 b.example',
      '::1 six.example',
      '192.0.2.1 other.example',
      '',
    ]
    writeFileSync(file, lines.join('\n'))
    expect(namesInHostsFile(file)).toEqual(['localhost', 'builder.example.org', 'builder', 'six.example'])
  })

  test('may be missing', () => {
    expect(namesInHostsFile(join(tempDir(), 'hosts'))).toEqual([])
  })
})
