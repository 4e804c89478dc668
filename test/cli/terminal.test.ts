import { beforeAll, describe, expect, test } from 'vitest'
import { jobText, put } from '../spool/temp-spool.ts'
import { bench, build } from './cli.ts'

beforeAll(build)

describe('what a terminal would obey is shown and not obeyed', () => {
  const EVIL = '\u001b[2J\u009b\r\n\u202e'
  const name = `X${EVIL}.json`
  const record = { state: 'waiting', attempts: 1, error: EVIL, lastAttemptAt: EVIL, settledAt: EVIL }
  const evilJob = jobText('hello', {
    queuedAt: '2026-11-22T03:14:02Z (\u001b[2J)',
    destinations: { [`a${EVIL}`]: record },
    history: [{ requeuedAt: EVIL, destinations: {} }],
  })

  test.each<[args: string[]]>([[['list']], [['show', 'X']], [['show', 'no\u001b[2Jne']], [['requeue', 'X']]])(
    '%j',
    async (args) => {
      const { run, spool } = bench()
      put(spool, args[0] === 'requeue' ? 'failed' : 'new', name, evilJob)
      const { stdout, stderr } = await run(args)
      const shown = `${stdout}${stderr}`
      expect(shown.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Cf}/u)
      expect(shown).toContain('\\u{1b}[2J')
      if (args[0] === 'list') expect(shown.split('\n')).toHaveLength(1)
    },
  )
})
