// What is in the manual pages. Nothing is said here that is said elsewhere: the text is that of docs/, of README.md, of
// the head of the hook, and of the commands' own help.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { helpOf } from '../src/cli/grammar.ts'
import { version } from '../src/util/version.ts'
import { roffOf, titleOf } from './roff.ts'

const ROOT = join(import.meta.dirname, '..')
/** Of the last change that matters to readers; manual pages must have a date. */
const DATE = '2026-11-22'

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** All pages, by the name of their file. */
export async function pages(): Promise<Map<string, string>> {
  // Help would be in the language of whoever makes the pages.
  process.env.LC_ALL = 'C'
  return new Map([
    ['nix-upload.1', page('nix-upload', 1, await commandsPage())],
    ['nix-upload-hook.8', page('nix-upload-hook', 8, hookPage())],
    ['nix-upload.toml.5', page('nix-upload.toml', 5, configurationPage())],
    ['nix-upload-spool.5', page('nix-upload-spool', 5, spoolPage())],
  ])
}

function page(name: string, section: number, markdown: string): string {
  return titleOf(name, section, DATE, version()) + roffOf(markdown)
}

/** The commands that there are, as help lists them: `list [state]`. */
export async function commands(): Promise<string[]> {
  const help = await helpOf([])
  return [...help.matchAll(/^ {2}nix-upload (\S.*?) {2,}/gm)].map(([, usage = '']) => usage)
}

async function commandsPage(): Promise<string> {
  const usages = await commands()
  const sections = await Promise.all(usages.map(commandSection))
  return `## Name

nix-upload - a crash-safe upload queue for Nix's post-build-hook

## Synopsis

**nix-upload** *command* [*options*]

## Description

${firstParagraph(read('README.md'))}

The configuration is described in **nix-upload.toml**(5), the hook in **nix-upload-hook**(8), and the spool, which
\`ls\`, \`cat\` and \`mv\` are at home in, in **nix-upload-spool**(5).

## Commands

${sections.join('\n')}
## Options

${part(read('docs/CONFIGURATION.md'), 'Flags')}

## Environment

${part(read('docs/CONFIGURATION.md'), 'Variables')}

## Exit status

${part(read('docs/CONFIGURATION.md'), 'Exit codes')}

## JSON

${part(read('docs/CONFIGURATION.md'), 'JSON')}

${FILES}
## See also

**nix-upload-hook**(8), **nix-upload.toml**(5), **nix-upload-spool**(5), **nix.conf**(5)
`
}

const FILES = `## Files

| file | meaning |
|---|---|
| \`/etc/nix-upload/config.toml\` | The configuration, **nix-upload.toml**(5). |
| \`/etc/nix/nix-upload-hook\` | What **nix.conf**(5) names as \`post-build-hook\`. |
| \`/var/spool/nix-upload\` | The spool, **nix-upload-spool**(5). |
| \`/nix/var/nix/gcroots/nix-upload\` | What protects the paths of queued jobs from garbage collection. |
`

/** A command's usage, what it does, and its own arguments and options; those that all commands have are left out. */
async function commandSection(usage: string): Promise<string> {
  const [name = ''] = usage.split(' ')
  const help = await helpOf([name])
  const [heading = '', ...paragraphs] = help.split('\n\n').map((text) => text.trim())
  const isOf = (text: string) => /^(Options|Positionals|Examples):/.test(text)
  const prose = paragraphs.filter((text) => !isOf(text)).map((text) => `${code(text.replaceAll('\n', ' '))}.`)
  const rows = paragraphs.filter((text) => /^(Options|Positionals):/.test(text)).flatMap(rowsOf)
  const table = rows.length === 0 ? '' : `\n| option | meaning |\n|---|---|\n${rows.join('\n')}\n`
  const shown = heading.startsWith('nix-upload') ? heading : `nix-upload ${usage}`
  return `### ${escapeMarkdown(shown)}\n\n${prose.join('\n\n')}\n${table}`
}

function rowsOf(section: string): string[] {
  const own = section.split('\n').slice(1)
  return own.flatMap((line) => {
    const [, short = '', name = '', meaning = ''] = /^ *(-\w, )?(\S+) {2,}(.*)$/.exec(line) ?? []
    if (['--version', '--help', '--spool', '--config', ''].includes(name) && short === '') return []
    if (name === '--help') return []
    return [
      `| \`${name}\` | ${code(
        meaning
          .replace(/ {2,}\[(?:string|boolean|array)\]/g, '')
          .replaceAll(/ {2,}/g, ' ')
          .trim(),
      )} |`,
    ]
  })
}

function hookPage(): string {
  const comment = read('bin/nix-upload-hook').split('\n\n')[0] ?? ''
  const lines = comment
    .split('\n')
    .slice(1)
    .map((line) => line.replace(/^# ?/, ''))
  const paragraphs = lines.join('\n').split('\n\n')
  const isIndented = (text: string) => /^ /.test(text)
  const prose = paragraphs.map((text) => (isIndented(text) ? text.replaceAll(/^ {2}/gm, '    ') : code(text)))
  return `## Name

nix-upload-hook - queue what Nix has just built

## Synopsis

    post-build-hook = /absolute/path/of/nix-upload-hook

## Description

${prose.join('\n\n')}

## Environment

${variablesOfHook(part(read('docs/CONFIGURATION.md'), 'Variables'))}

## Exit status

${lastParagraph(part(read('docs/CONFIGURATION.md'), 'Exit codes'))}

${FILES}
## See also

**nix-upload**(1), **nix-upload-spool**(5), **nix.conf**(5)
`
}

/** Without the rows of what only commands or systemd read. */
function variablesOfHook(markdown: string): string {
  const isOthers = (line: string) =>
    /^\| `.*` \| (?!.*\bhook\b)/.test(line.split(' | ').slice(0, 2).join(' | '))
  return markdown
    .split('\n')
    .filter((line) => !isOthers(line))
    .join('\n')
}

function configurationPage(): string {
  const text = read('docs/CONFIGURATION.md')
  return `## Name

nix-upload.toml - the configuration of nix-upload

## Synopsis

    /etc/nix-upload/config.toml

## Description

${part(text, 'The file').replace(/^TOML, in/, 'This is TOML, in')}

## Without a file

${part(text, 'Without a file')}

## Example

${/## Configure\n[\s\S]*?(```toml\n[\s\S]*?```)/.exec(read('README.md'))?.[1] ?? ''}

${FILES}
## See also

**nix-upload**(1), **nix-upload-hook**(8)
`
}

function spoolPage(): string {
  return `## Name

nix-upload-spool - the directory that nix-upload keeps its jobs in

## Description

${read('docs/SPOOL.md').replace(/^# .*\n/, '')}

## See also

**nix-upload**(1), **nix-upload-hook**(8)
`
}

/** What is below a heading of the second level, without it. */
function part(markdown: string, heading: string): string {
  const [, text] = new RegExp(`^## ${heading}\\n([\\s\\S]*?)(?=^## |$(?![\\s\\S]))`, 'm').exec(markdown) ?? []
  if (text === undefined) throw new Error(`there is no "## ${heading}" any more`)
  return text.trim()
}

function firstParagraph(markdown: string): string {
  return markdown.split('\n\n')[1] ?? ''
}

function lastParagraph(markdown: string): string {
  return markdown.split('\n\n').at(-1) ?? ''
}

/** Help and comments are plain text: what looks like Markdown in it, apart from code, is none. */
function code(text: string): string {
  return text
    .split(/(`[^`]+`)/)
    .map((part, at) => (at % 2 === 1 ? part : escapeMarkdown(part)))
    .join('')
}

function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\*_<>[\]|#]/g, '\\$&')
}
