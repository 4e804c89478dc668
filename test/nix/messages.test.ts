import { describe, expect, test } from 'vitest'
import { messagesOf } from '../../src/nix/messages.ts'

/** A line of `--log-format internal-json`. */
const line = (event: object) => `@nix ${JSON.stringify(event)}`
const message = (level: number, msg: string, more: object = {}) =>
  line({ action: 'msg', level, msg, ...more })

describe('what Nix says is wrong', () => {
  test.each<[what: string, line: string, messages: string[]]>([
    ['an error', message(0, 'error: it failed'), ['it failed']],
    ['a warning', message(1, 'warning: careful'), ['warning: careful']],
    ['an error in colour', message(0, '\u001b[31;1merror:\u001b[0m it failed'), ['it failed']],
    [
      'an error without its trace, where Nix gives both',
      message(0, 'error: long', { raw_msg: 'short' }),
      ['short'],
    ],
    [
      'an error of many lines',
      message(0, 'error:\n       … while\n\n       error: it failed\n'),
      ['… while error: it failed'],
    ],
    ['control characters', message(0, 'error: a\u0007b\u0085c\u009b2Jd'), ['abcd']],
    ['a hyperlink of the terminal', message(0, '\u001b]8;;http://x\u0007link\u001b]8;;\u0007'), ['link']],
    [
      'what a program says that Nix started',
      'ssh: connect to host x port 22: Connection refused',
      ['ssh: connect to host x port 22: Connection refused'],
    ],
    ['a plain error, from before the log format is known', 'error: unrecognised flag', ['unrecognised flag']],
  ])('is picked out and put on one line: %s', (_what, text, messages) => {
    expect(messagesOf([text])).toEqual(messages)
  })

  test.each<[what: string, line: string]>([
    ['information', message(3, 'copying 3 paths')],
    ['a notice', message(2, 'done')],
    ['progress', line({ action: 'result', fields: [1, 2, 0, 0], id: 1, type: 105 })],
    [
      'the start of an activity',
      line({ action: 'start', id: 1, level: 0, text: 'error: not one', type: 100 }),
    ],
    ['a line that is cut off', '@nix {"action":"msg","level":0,"msg":"err'],
    ['what is no message', '@nix ["action":"msg"]'],
    ['a message without text', line({ action: 'msg', level: 0 })],
    ['a message without level', line({ action: 'msg', msg: 'x' })],
    ['an empty message', message(0, '\u001b[0m\n')],
    ['an empty line', ''],
  ])('is not: %s', (_what, text) => {
    expect(messagesOf([text])).toEqual([])
  })

  test('is one message where Nix breaks it into lines, which it indents', () => {
    const lines = ['error:', '       … while writing', '', '       error: disk full', 'warning: careful']
    expect(messagesOf(lines)).toEqual(['… while writing error: disk full', 'warning: careful'])
  })

  test('comes in its order', () => {
    const lines = [message(1, 'one'), 'two', line({ action: 'stop', id: 1 }), message(0, 'error: three')]
    expect(messagesOf(lines)).toEqual(['one', 'two', 'three'])
  })
})
