// Packages of any Debian release, downloaded without touching what apt knows of this machine. They come from
// the archive in the machine's own apt configuration, so no host name has to be written down here.
// Plain JavaScript: `.ci/prepare.mjs` loads it on whatever Node the machine has.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const exec = promisify(execFile)

/** Releases a Debian machine may call its own: its codename is asked of os-release, these always count. */
const ROLLING = ['stable', 'testing', 'unstable', 'sid']

// It holds the keys of all releases, while a source's own Signed-By may name those of one release only.
const FULL_KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
]

/**
 * Downloads a package and all it depends on, as for an empty machine.
 * @param {string} name of the package
 * @param {string} suite the release to take it from
 * @param {string} root a directory for apt to keep everything in
 * @returns {Promise<string[]>} the files
 */
export async function downloadPackages(name, suite, root) {
  const { uri, options } = debianMirror()
  const path = (below) => join(root, below)
  for (const dir of [
    'etc/apt/preferences.d',
    'var/lib/apt/lists/partial',
    'var/cache/apt/archives/partial',
  ]) {
    mkdirSync(path(dir), { recursive: true })
  }
  writeFileSync(path('status'), '')
  writeFileSync(path('etc/apt/sources.list'), `deb ${options} ${uri} ${suite} main\n`)
  const architecture = (await exec('dpkg', ['--print-architecture'])).stdout.trim()
  // The host's apt.conf.d stays in force (a proxy may be set there) but for its hooks, which act on the host.
  writeFileSync(
    path('apt.conf'),
    `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear APT::Architectures;
APT { Architectures { "${architecture}"; }; Sandbox::User "root"; Install-Recommends "false"; Get::Assume-Yes "true"; };
APT::Update::Error-Mode "any";
Dir "${root}";
Dir::State::status "${path('status')}";
Dir::Cache::archives "${path('var/cache/apt/archives')}/";
Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";
Acquire { Languages "none"; Retries "3"; Check-Valid-Until "false"; };
`,
  )
  const apt = (...args) => exec('apt-get', ['-qq', '-c', path('apt.conf'), ...args])
  await apt('update')
  await apt('--download-only', 'install', name)
  const archives = path('var/cache/apt/archives')
  const files = readdirSync(archives).filter((file) => file.endsWith('.deb'))
  return files.map((file) => join(archives, file))
}

/**
 * The archive this machine installs Debian from.
 * @param {{apt?: string, osRelease?: string}} [where] other places to read, for a machine that isn't this one
 * @returns {{uri: string, options: string}} the address, and its options in brackets as a line of a `.list` wants them
 */
export function debianMirror({ apt = '/etc/apt', osRelease = '/etc/os-release' } = {}) {
  const release = existsSync(osRelease) ? readFileSync(osRelease, 'utf8') : ''
  const codename = /^VERSION_CODENAME="?([a-z]+)/m.exec(release)?.[1]
  const own = /^ID="?debian\b/m.test(release) && codename ? [codename, ...ROLLING] : ROLLING
  const found = readSources(apt).find(
    (source) =>
      source.types.includes('deb') &&
      source.components.includes('main') &&
      source.suites.some((suite) => own.includes(suite)) &&
      /^(https?|file|copy|mirror\S*):/.test(source.uri),
  )
  if (!found) {
    throw new Error(
      `No Debian archive is named in ${apt}/sources.list or ${apt}/sources.list.d, and the tests take three ` +
        'releases of Nix from one. Run them on Debian, or add your Debian mirror there.',
    )
  }
  const keyrings = [...new Set([...found.keyrings, ...FULL_KEYRINGS])].filter(
    (path) => path.startsWith('/') && existsSync(path),
  )
  const options = [
    ...(keyrings.length > 0 ? [`signed-by=${keyrings.join(',')}`] : []),
    ...(found.trusted ? ['trusted=yes'] : []),
  ]
  return { uri: found.uri, options: options.length > 0 ? `[${options.join(' ')}]` : '' }
}

/** Every source in apt's two formats, in the order apt reads them. */
function readSources(apt) {
  const parts = join(apt, 'sources.list.d')
  const names = existsSync(parts) ? readdirSync(parts).sort() : []
  const files = [join(apt, 'sources.list'), ...names.map((name) => join(parts, name))]
  return files.filter(existsSync).flatMap((file) => {
    if (file.endsWith('.list')) return readFileSync(file, 'utf8').split('\n').flatMap(parseLine)
    if (file.endsWith('.sources'))
      return readFileSync(file, 'utf8')
        .split(/\n\s*\n/)
        .flatMap(parseStanza)
    return []
  })
}

/** One line of a `.list`: `deb [signed-by=…] URI suite component…`. */
function parseLine(line) {
  const match = /^\s*(deb(?:-src)?)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line)
  if (!match) return []
  const [, type, bracketed = '', uri, suite, components] = match
  const option = (name) => new RegExp(`(?:^|\\s)${name}=(\\S+)`, 'i').exec(bracketed)?.[1] ?? ''
  return [
    {
      types: [type],
      uri,
      suites: [suite],
      components: words(components),
      keyrings: option('signed-by').split(','),
      trusted: option('trusted') === 'yes',
    },
  ]
}

/** One stanza of a `.sources` file; a source for each of its addresses. */
function parseStanza(stanza) {
  const fields = new Map()
  const text = stanza.replace(/^#.*\n?/gm, '').replace(/\n[ \t]+/g, ' ')
  for (const [, name, value] of text.matchAll(/^([\w-]+):[ \t]*(.*)$/gm))
    fields.set(name.toLowerCase(), value)
  if (/^(no|false|0)$/i.test(fields.get('enabled') ?? '')) return []
  const of = (name) => words(fields.get(name) ?? '')
  return of('uris').map((uri) => ({
    types: of('types'),
    uri,
    suites: of('suites'),
    components: of('components'),
    // A key may also be written out here in full; then none of its words is a path and the keyrings above serve.
    keyrings: of('signed-by'),
    trusted: /^yes$/i.test(fields.get('trusted') ?? ''),
  }))
}

function words(text) {
  return text.split(/\s+/).filter((word) => word !== '')
}
