import { AGE_COLUMNS, type BatchView, type DestinationView } from '../status/view.ts'
import { cut, type Html, html, prose } from './html.ts'

const BATCHES_SHOWN = 8
/** Numbers of this many digits or more look alike. */
const MANY = 6

/** Everything about one destination: its state, its uploads, and how many jobs wait for it since when. */
export function destinationCard(destination: DestinationView): Html {
  const { name, to, state, paused, notes, batches } = destination
  const shown = batches.slice(0, BATCHES_SHOWN)
  const more = batches.length - shown.length
  return html`<article class="${state}">
<div>
<h3>${cut(name)} <span class="badge ${state}">${state}</span>${paused ? html` <span class="badge paused">paused</span>` : ''}</h3>
<p class="to">${cut(to)}</p>
${notesOf(state, notes)}
${shown.map((batch) => batchOf(name, batch))}${more > 0 ? html`<p class="batch">… and ${more} more</p>` : ''}
</div>
${agesOf(destination)}
</article>
`
}

/** The first note on one that is down is its error. */
function notesOf(state: DestinationView['state'], notes: readonly string[]): Html {
  if (notes.length === 0) return html``
  const items = notes.map((note, at) => {
    const isError = at === 0 && (state === 'down' || state === 'none')
    return isError ? html`<li class="error">${prose(note)}</li>` : html`<li>${prose(note)}</li>`
  })
  return html`<ul class="notes">${items}</ul>`
}

function batchOf(name: string, { progress, notes }: BatchView): Html {
  if (!progress) return html`<p class="batch">Sending ${notes.join(', ')}</p>\n`
  const { part, percent, amount } = progress
  return html`<div class="batch"><progress max="1" value="${part.toFixed(3)}" aria-label="Sending to ${name}"></progress>
<b>${percent}</b> ${[amount, ...notes].join(', ')}</div>
`
}

/** Jobs by age, as `status` has them in a row; the more jobs of an age, the stronger its field. */
function agesOf({ jobs, age, ages }: DestinationView): Html {
  if (jobs === '0') return html`<p class="none-waiting">Nothing waits for it.</p>`
  const heads = AGE_COLUMNS.map((column) => html`<th scope="col">${column}</th>`)
  const cells = ages.map((count) => {
    if (count === 0) return html`<td>.</td>`
    return html`<td data-many="${Math.min(MANY, `${count}`.length)}">${count}</td>`
  })
  return html`<table class="ages">
<caption>${jobs} waiting${age === '' ? '' : html`, <span>${age}</span>`}</caption>
<thead><tr>${heads}</tr></thead>
<tbody><tr>${cells}</tr></tbody>
</table>`
}
