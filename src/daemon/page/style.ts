/** How the page looks: light and dark, from a phone to a wall. Nothing is told by colour alone. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #faf9f7; --card: #fff; --ink: #1f1e1b; --soft: #67635b; --line: #e3dfd8; --wash: #f0ede8;
  --boost: 1; --go: #2f5fc4; --ok: #18794a; --warn: #8a5700; --bad: #b42318;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "Roboto Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131416; --card: #1a1c1f; --ink: #e9e7e3; --soft: #a3a099; --line: #2e3136; --wash: #23262a;
    --boost: 1.4; --go: #8db0ff; --ok: #6ccb95; --warn: #e6b458; --bad: #ff8f85;
  }
}
* { box-sizing: border-box; margin: 0; }
html { background: var(--paper); -webkit-text-size-adjust: 100%; }
body {
  max-width: 66rem; margin: 0 auto; padding: 1.25rem clamp(1rem, 4vw, 2.5rem) 3rem;
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
code, .to { font-family: var(--mono); font-size: .875em; }
p code, li code { padding: .1em .3em; border-radius: .25em; background: var(--wash); }
a { color: inherit; text-underline-offset: .2em; text-decoration-color: var(--soft); }
a:focus-visible { outline: 2px solid var(--go); outline-offset: 2px; }
.top { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1.5rem; color: var(--soft); font-size: .875rem; }
.top b { color: var(--ink); }
.notice { margin-top: 1rem; padding: .6rem .9rem; border: 1px solid var(--bad); border-radius: .5rem; color: var(--bad); }

h1 { margin-top: 2.25rem; font-size: clamp(1.5rem, 1.1rem + 2vw, 2.25rem); line-height: 1.2; font-weight: 650; letter-spacing: -.015em; text-wrap: balance; }
.calm { margin-top: .5rem; color: var(--soft); font-size: 1.0625rem; }
.matters { margin-top: 1rem; padding: 0; list-style: none; }
.matters li { position: relative; margin-top: .5rem; padding-left: 1.2rem; max-width: 52rem; }
.matters li::before { content: ""; position: absolute; left: 0; top: .5em; width: .55em; height: .55em; border-radius: 50%; background: var(--warn); }
.matters .trouble::before { background: var(--bad); }
.matters a { white-space: nowrap; color: var(--soft); font-size: .9375em; }

section { margin-top: 2.5rem; }
h2 { font-size: .875rem; font-weight: 600; color: var(--soft); }
h2::first-letter { text-transform: uppercase; }
article { margin-top: .75rem; padding: 1.1rem 1.25rem; border: 1px solid var(--line); border-radius: .75rem; background: var(--card); }
article.down { border-color: color-mix(in srgb, var(--bad) 55%, var(--line)); }
article.none { border-color: color-mix(in srgb, var(--warn) 55%, var(--line)); }
h3 { font-size: 1.125rem; font-weight: 650; line-height: 1.3; }
.badge { margin-left: .4rem; padding: .1em .55em; border-radius: 1em; font-size: .75rem; font-weight: 600; vertical-align: .12em; white-space: nowrap; color: var(--soft); background: var(--wash); }
.badge.ok { color: var(--ok); } .badge.down { color: var(--bad); } .badge.none, .badge.paused { color: var(--warn); }
.to { color: var(--soft); }
.notes { margin-top: .5rem; padding: 0; list-style: none; color: var(--soft); font-size: .9375rem; }
.notes li { display: inline; }
.notes .error { display: block; color: var(--bad); }
.notes li:not(.error) + li::before { content: " · "; }

.batch { margin-top: .75rem; font-size: .9375rem; color: var(--soft); }
.batch b { color: var(--ink); font-weight: 600; }
progress { appearance: none; display: block; width: 100%; height: .5rem; margin-bottom: .3rem; border: 0; border-radius: 1rem; overflow: hidden; background: var(--wash); }
progress::-webkit-progress-bar { background: var(--wash); }
progress::-webkit-progress-value { background: var(--go); border-radius: 1rem; transition: inline-size 1s linear; }
progress::-moz-progress-bar { background: var(--go); border-radius: 1rem; }

table { border-collapse: separate; border-spacing: 0; width: 100%; }
caption { text-align: left; }
.spool { margin-top: .75rem; table-layout: fixed; border: 1px solid var(--line); border-radius: .75rem; background: var(--card); }
.spool th, .spool td { padding: 0 .5rem 0 1.25rem; text-align: left; font-weight: 400; vertical-align: top; }
.spool th { padding-top: .9rem; color: var(--soft); font-size: .875rem; }
.spool .count { font-size: clamp(1.25rem, .9rem + 2vw, 1.75rem); font-weight: 600; line-height: 1.3; overflow-wrap: normal; }
.spool .age { padding-bottom: .9rem; min-height: 1.5em; color: var(--soft); font-size: .8125rem; }
.spool :is(th, td) + :is(th, td) { border-left: 1px solid var(--line); }
.spool .given-up { color: var(--bad); }
.ages { width: calc(100% + 6px); margin: 1rem -3px 0; table-layout: fixed; border-spacing: 3px 0; font-size: .8125rem; }
.ages caption { padding: 0 3px .25rem; font-size: .9375rem; }
.ages caption span { color: var(--soft); }
.ages th { font-weight: 400; color: var(--soft); }
.ages td { height: 2rem; border-radius: .3rem; text-align: center; background: var(--wash); color: var(--soft); overflow-wrap: normal; --hue: var(--go); }
.ages td:nth-child(n + 5) { --hue: var(--warn); }
.ages td:nth-child(n + 7) { --hue: var(--bad); }
.ages [data-many] { --share: 16%; color: var(--ink); font-weight: 600; background: color-mix(in srgb, var(--hue) calc(var(--share) * var(--boost)), var(--card)); }
.ages [data-many="2"] { --share: 24%; }
.ages [data-many="3"] { --share: 32%; }
.ages :is([data-many="4"], [data-many="5"], [data-many="6"]) { --share: 40%; }
.ages [data-many="6"] { font-size: .6875rem; letter-spacing: -.03em; }
.none-waiting { margin-top: .15rem; font-size: .9375rem; color: var(--soft); }
.reasons { margin-top: .75rem; border: 1px solid var(--line); border-radius: .75rem; background: var(--card); }
.reasons :is(th, td) { padding: .6rem 1.25rem; text-align: left; vertical-align: top; font-weight: 400; }
.reasons th { color: var(--soft); font-size: .8125rem; padding-bottom: 0; }
.reasons :is(th, td):first-child { width: 1%; padding-right: 0; text-align: right; white-space: nowrap; }
.reasons td:first-child { font-weight: 600; }
.reasons tr + tr td { border-top: 1px solid var(--line); }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .875rem; }
footer p + p { margin-top: .25rem; }
@media (min-width: 54rem) {
  article { display: grid; grid-template-columns: minmax(0, 1fr) 25rem; gap: 0 2rem; align-items: start; }
  .ages { margin-top: .1rem; }
}
@media (max-width: 30rem) {
  article { padding: .9rem 1rem; }
  .spool th, .spool td { padding-left: .7rem; padding-right: .2rem; }
  .spool small, .spool .age { font-size: .75rem; }
  .spool small { display: block; }
  .reasons :is(th, td) { padding-left: 1rem; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
`
