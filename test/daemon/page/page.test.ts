import { createHash } from 'node:crypto'
import { Script } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asTable } from '../../../src/cli/status-table.ts'
import { CONTENT_SECURITY_POLICY, pageOf } from '../../../src/daemon/page/page.ts'
import { SCRIPT } from '../../../src/daemon/page/script.ts'
import { STYLE } from '../../../src/daemon/page/style.ts'
import type { Snapshot } from '../../../src/daemon/status/snapshot.ts'
import { HOUR } from '../../spool/temp-spool.ts'
import { ago, DAY, destination, jobs, NOW, seen, waitingFor } from '../status/snapshots.ts'
import { tagsIn, visibleIn } from './visible.ts'

const ABOUT = { machine: 'builder', version: '1.2.3' }
const page = (snapshot: Snapshot) => pageOf(snapshot, ABOUT, NOW)

/** A spool in which all is that there can be, with what names and errors may hold. */
function busy(word: string): Snapshot {
  const [to, since] = [`s3://${word}`, ago(21_000)]
  const running = [
    { jobs: 12, paths: 14, since, sentBytes: 261e6, expectedBytes: 412e6 },
    { jobs: 1, paths: 1, since, sentBytes: 0, expectedBytes: 0 },
  ]
  const nextAttemptAt = new Date(NOW + 204_000).toISOString()
  const report = {
    to,
    state: 'ok',
    failures: 0,
    lastSuccessAt: since,
    running,
    rate: { bytes: 12.4e6, jobs: 1 },
  } as const
  const down = { to, state: 'down', failures: 9, lastError: word, nextAttemptAt } as const
  const waiting = waitingFor(word, to, jobs(1268, 2 * DAY + 3 * HOUR))
  return seen({
    paused: true,
    states: { new: jobs(1268, 2 * DAY + 3 * HOUR), cur: jobs(12), done: jobs(118), failed: jobs(1000, DAY) },
    failures: { reasons: [{ jobs: 7, reason: `s3: ${word}` }], read: 500, invalid: 0 },
    destinations: [
      destination('s3', {
        report,
        waiting: { ...waiting, isEstimate: true, retrying: { jobs: 2, error: word } },
      }),
      destination(word, { to, waiting, report: down }),
      destination(`${word} gone`, { to, waiting, isConfigured: false }),
      destination('held', { paused: true, report: { to: '', state: 'unknown', failures: 0 } }),
    ],
  })
}

describe('the words and figures', () => {
  test('are those of `nix-upload status`, all of them', () => {
    const snapshot = busy('cannot connect: No route to host')
    const shown = visibleIn(page(snapshot)).toLowerCase().split('\n')
    const said = asTable(snapshot, NOW)
      // What makes it a table and a bar.
      .replaceAll(/\[[#.]+\] +/g, '')
      .split('\n')
      .filter((line) => !line.startsWith('waiting for'))
      .flatMap((line) => line.split(/ {2,}|; (?!`)/))
      .map((words) => words.replaceAll('`', '').replace(/:$/, ''))
      .flatMap((words) => words.split(', '))
      .filter((words) => words !== '' && words !== '.')
    expect(said).toEqual(
      expect.arrayContaining([
        '~1268',
        'oldest 2d 3h',
        '63%',
        '12.4 MB/s',
        'next attempt in 3m 24s',
        '12s left',
        '7',
      ]),
    )
    for (const words of new Set(said))
      expect(
        shown.filter((line) => line.includes(words.toLowerCase())),
        words,
      ).not.toEqual([])
  })

  test('are those of this moment, and say which', () => {
    expect(page(seen())).toContain('<time datetime="2026-11-23T08:00:00.000Z">')
  })

  test('put what is in trouble first', () => {
    const names = [...page(busy('backup')).matchAll(/<h3>(.*?) <span/g)].map(([, name]) => name)
    expect(names).toEqual(['backup', 'backup gone', 's3', 'held'])
  })

  test('of a password in a URL there is none', () => {
    const url = 'ssh://user:secret@host/x'
    const text = page(
      seen({
        destinations: [
          destination('x', {
            to: url,
            report: { to: url, state: 'down', failures: 1, lastError: `no ${url}` },
          }),
        ],
      }),
    )
    expect(text).not.toContain('secret')
    expect(text).toContain('ssh://user:…@host/x')
  })
})

describe('what names, errors and URLs hold', () => {
  const tags = tagsIn(page(busy('harmless')))

  test.each([
    '<script>alert(1)</script>',
    '</style></title></head><img src=x onerror=alert(1)>',
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    '&lt;script&gt;',
    '<!-- ',
  ])('is text: %s', (word) => {
    const text = page(busy(word))
    expect(tagsIn(text)).toEqual(tags)
    expect(visibleIn(text).split(word).length).toBeGreaterThan(5)
  })

  test('is text, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'<>"\'&`/=!- \u0000\u202eaé😀'), minLength: 1 }),
        (word) => {
          // Between backticks there is code.
          const text = page(busy(word)).replaceAll(/<\/?code>/g, '')
          expect(tagsIn(text)).toEqual(tags.filter((tag) => !tag.endsWith('code')))
          expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u)
        },
      ),
    )
  })

  test('is cut off where it hides all else', () => {
    expect(page(busy('x'.repeat(100_000))).length).toBeLessThan(40_000)
  })
})

test('a thousand failures for as many reasons make the page no longer than ten do', () => {
  const reasons = Array.from({ length: 500 }, (_, n) => ({
    jobs: 1,
    reason: `s3: the server refused object ${n}`,
  }))
  const failed = (read: number) =>
    page(
      seen({
        states: { failed: jobs(1000) },
        failures: { reasons: reasons.slice(0, read), read, invalid: 0 },
      }),
    )
  const text = failed(500)
  expect(text.length).toBeLessThan(failed(10).length + 200)
  expect(text.length).toBeLessThan(20_000)
  expect(visibleIn(text)).toContain('… nix-upload list failed has them all')
  expect(visibleIn(text)).toMatch(/^1000 jobs were given up/m)
})

test('a thousand destinations that jobs name and nobody configured do not make it long', () => {
  const destinations = Array.from({ length: 1000 }, (_, n) =>
    destination(`d${n}`, { isConfigured: false, waiting: waitingFor(`d${n}`, '', jobs(1)) }),
  )
  const text = page(seen({ destinations }))
  expect(text.match(/<article/g)).toHaveLength(50)
  expect(visibleIn(text)).toContain('… and 950 more')
})

describe('the Content-Security-Policy', () => {
  const text = page(busy('x'))
  const digest = (part: string) => `'sha256-${createHash('sha256').update(part).digest('base64')}'`

  test('lets the one style and the one script of the page be, and nothing else', () => {
    const [styles, scripts] = ['style', 'script'].map((tag) =>
      [...text.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))].map(([, content = '']) => content),
    )
    expect([styles, scripts]).toEqual([[STYLE], [SCRIPT]])
    expect(CONTENT_SECURITY_POLICY.split('; ').sort()).toEqual(
      [
        "default-src 'none'",
        `style-src ${digest(STYLE)}`,
        `script-src ${digest(SCRIPT)}`,
        "connect-src 'self'",
        'img-src data:',
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
      ].sort(),
    )
  })

  test('would refuse styles and handlers in attributes, and addresses elsewhere; there are none', () => {
    expect(text).not.toMatch(/<[^>]* (?:style|on[a-z]+)=/)
    expect(
      [...text.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, url = '']) => url.replace(/,.*/, '')),
    ).toEqual(['data:image/svg+xml', '#failed', 'metrics'])
  })

  test('the script is one, and without scripts the page is loaded anew', () => {
    expect(() => new Script(SCRIPT)).not.toThrow()
    expect(text).toMatch(/<noscript><meta http-equiv="refresh" content="\d+"><\/noscript>/)
  })
})

describe('who sees little', () => {
  /** Relative luminance and contrast as WCAG 2 has them. */
  const luminance = (hex: string) => {
    const long = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join('') : hex.slice(1)
    const channels = [0, 2, 4].map((at) => Number.parseInt(long.slice(at, at + 2), 16) / 255)
    const [r = 0, g = 0, b = 0] = channels.map((c) =>
      c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4,
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const palettes = [...STYLE.matchAll(/:root \{([\s\S]*?)\}/g)].map(
    ([, rules = '']) =>
      new Map([...rules.matchAll(/--(\w+): (#\w+)/g)].map(([, name = '', hex = '']) => [name, hex])),
  )

  test.each([
    ['light', palettes[0]],
    ['dark', palettes[1]],
  ])('reads every text: %s', (_, palette) => {
    const of = (name: string) => luminance(palette?.get(name) ?? '')
    for (const text of ['ink', 'soft', 'ok', 'warn', 'bad'])
      for (const ground of ['paper', 'card', 'wash']) {
        const [dark = 0, light = 0] = [of(text), of(ground)].sort((a, b) => a - b)
        expect((light + 0.05) / (dark + 0.05), `${text} on ${ground}`).toBeGreaterThan(4.5)
      }
  })

  test('has headings in order, and heads and captions of tables', () => {
    const text = page(busy('x'))
    expect([...text.matchAll(/<h(\d)/g)].map(([, level]) => level).join('')).toBe('12333322')
    expect(text.match(/<table/g)).toHaveLength(text.match(/<caption>|aria-labelledby=/g)?.length ?? 0)
    expect(text).not.toMatch(/<th(?: (?!scope)[^>]*)?>/)
    expect(text).toMatch(/<progress [^>]*aria-label="Sending to s3"/)
  })
})
