import { createHash } from 'node:crypto'
import { type Attention, attentionTo } from '../status/attention.ts'
import type { Snapshot } from '../status/snapshot.ts'
import { type DestinationView, viewOf } from '../status/view.ts'
import { destinationCard } from './destination-card.ts'
import { cut, Html, html, prose } from './html.ts'
import { SCRIPT } from './script.ts'
import { STYLE } from './style.ts'
import { failedTable, spoolTable } from './tables.ts'

/** More than these would make the page long without making it say more. */
const DESTINATIONS_SHOWN = 50
/** Without scripts. */
const RELOAD_SECONDS = 5

/** Identifies the style and script of a page: an open page is reloaded when they have changed. */
const EDITION = digestOf(STYLE + SCRIPT).slice(0, 12)

/** The page may only update itself: nothing that a name could smuggle in runs. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${digestOf(STYLE)}'`,
  `script-src 'sha256-${digestOf(SCRIPT)}'`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const COLOURS: Readonly<Record<Attention['mood'], string>> = {
  idle: '#18794a',
  busy: '#2f5fc4',
  held: '#d99a1c',
  trouble: '#d92d20',
}

/**
 * A snapshot as a page of HTML, with the words and figures that `nix-upload status` has.
 * @param about The machine and nix-upload's version.
 * @param now When the snapshot was taken, in milliseconds since the epoch.
 */
export function pageOf(
  snapshot: Snapshot,
  about: { machine: string; version: string },
  now = Date.now(),
): string {
  const view = viewOf(snapshot, now)
  const attention = attentionTo(snapshot, now)
  const shown = view.destinations.toSorted(byTrouble).slice(0, DESTINATIONS_SHOWN)
  const more = view.destinations.length - shown.length
  const { text } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="edition" content="${EDITION}">
<title>${cut(attention.headline.replace(/\.$/, ''))} · nix-upload on ${about.machine}</title>
<link rel="icon" href="${iconOf(attention)}">
<noscript><meta http-equiv="refresh" content="${RELOAD_SECONDS}"></noscript>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header class="top">
<p><b>nix-upload</b> on ${about.machine}</p>
<p><time datetime="${new Date(now).toISOString()}">${timeOf(now)}</time></p>
</header>
<p class="notice" role="status" hidden></p>
<main>
<h1>${cut(attention.headline)}</h1>
${mattersOf(attention)}
<section>
<h2 id="destinations">Destinations</h2>
${shown.map(destinationCard)}${more > 0 ? html`<p>… and ${more} more</p>` : ''}
</section>
<section>
<h2 id="spool">Spool</h2>
${spoolTable(view)}
</section>
${failedTable(view)}
</main>
<footer>
<p>Daemon ${prose(view.daemon)}. Spool ${view.spool}${view.paused === undefined ? '' : html`, ${view.paused}`}.</p>
<p>nix-upload ${about.version}. In a terminal: <code>nix-upload status --watch</code>. For Prometheus: <a href="metrics">metrics</a>.</p>
</footer>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`
  return text
}

/** Destinations in trouble come first; otherwise they are in the configuration's order, as in `status`. */
function byTrouble(a: DestinationView, b: DestinationView): number {
  const rank = ({ state }: DestinationView) => (state === 'down' || state === 'none' ? 0 : 1)
  return rank(a) - rank(b)
}

function mattersOf({ matters }: Attention): Html {
  if (matters.length === 0) {
    return html`<p class="calm">All is well: nothing needs doing.</p>`
  }
  const items = matters.map(({ text, isTrouble, isAboutFailed }) => {
    const more = isAboutFailed ? html` <a href="#failed">Why?</a>` : ''
    return html`<li class="${isTrouble ? 'trouble' : 'held'}">${prose(text)}${more}</li>\n`
  })
  return html`<ul class="matters">\n${items}</ul>`
}

/** A dot in the colour of what there is to do, for the tab. */
function iconOf({ mood }: Attention): string {
  const dot = `<circle cx="8" cy="8" r="6" fill="${COLOURS[mood]}"/>`
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${dot}</svg>`)}`
}

function timeOf(now: number): string {
  return new Date(now).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'long' })
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
