import { MORE_REASONS, type View } from '../status/view.ts'
import { type Html, html, prose } from './html.ts'

/** More would make the page long without making it say more. */
const REASONS_SHOWN = 10

const MEANING = { new: 'queued', cur: 'in hand', done: 'delivered', failed: 'given up' } as const

/** How many jobs are in each directory of the spool. */
export function spoolTable({ states }: View): Html {
  const heads = states.map(({ state }) => {
    return html`<th scope="col"><code>${state}/</code> <small>${MEANING[state]}</small></th>`
  })
  const counts = states.map(({ state, jobs }) => {
    return html`<td class="count${state === 'failed' && jobs > 0 ? ' given-up' : ''}">${jobs}</td>`
  })
  const ages = states.map(({ age }) => html`<td class="age">${age}</td>`)
  return html`<table class="spool" aria-labelledby="spool">
<thead><tr>${heads}</tr></thead>
<tbody><tr>${counts}</tr><tr>${ages}</tr></tbody>
</table>`
}

/** Why jobs were given up. */
export function failedTable({ failed }: View): Html {
  if (!failed) return html``
  const { title, reasons } = failed
  const rows = reasons.slice(0, REASONS_SHOWN).map(({ jobs, reason }) => {
    return html`<tr><td>${jobs}</td><td>${prose(reason)}</td></tr>\n`
  })
  const more = reasons.length > REASONS_SHOWN ? html`<p class="calm">${prose(MORE_REASONS)}</p>` : ''
  return html`<section id="failed">
<h2 id="reasons">${prose(title)}</h2>
<table class="reasons" aria-labelledby="reasons">
<thead><tr><th scope="col">jobs</th><th scope="col">reason</th></tr></thead>
<tbody>
${rows}</tbody>
</table>${more}
</section>`
}
