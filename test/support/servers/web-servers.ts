// Web servers that people put a binary cache behind, beside nginx: what they need in their configuration to take uploads.

import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ServerProcess, startServer } from './server-process.ts'

/** A server that runs. */
export interface WebServer {
  /** Its store URL. */
  url: string
  /** Where its files lie. */
  root: string
  stop(): Promise<void>
}

/** Debian's www-data. */
const WWW_DATA = 33

/** @param configure Writes nothing but the text of the configuration, given the port, a directory and the place of the files. */
async function start(
  program: string,
  configure: (port: number, dir: string, root: string) => string,
  args: (file: string, dir: string) => string[],
): Promise<WebServer> {
  const dir = await mkdtemp(join(tmpdir(), `nix-upload-${program}-`))
  const root = join(dir, 'root')
  await mkdir(root)
  // Apache's workers are not root.
  await chmod(dir, 0o755)
  if (process.geteuid?.() === 0) await Promise.all([dir, root].map((path) => chown(path, WWW_DATA, WWW_DATA)))
  const server: ServerProcess = await startServer(program, async (port) => {
    const file = join(dir, 'configuration')
    await writeFile(file, configure(port, dir, root))
    return args(file, dir)
  })
  const stop = async () => {
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  }
  return { url: `http://127.0.0.1:${server.port}`, root, stop }
}

/** Apache with mod_dav. */
export function startApache(): Promise<WebServer> {
  const modules = ['mpm_event', 'authz_core', 'dav', 'dav_fs']
  return start(
    'apache2',
    (port, dir, root) => `
ServerName localhost
Listen 127.0.0.1:${port}
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
User www-data
Group www-data
PidFile ${dir}/pid
Mutex file:${dir}
ErrorLog ${dir}/log
DavLockDB ${dir}/locks
DocumentRoot ${root}
<Directory ${root}>
  Dav On
  Require all granted
</Directory>
`,
    (file, dir) => ['-d', dir, '-f', file, '-D', 'FOREGROUND'],
  )
}

/** lighttpd with mod_webdav. */
export function startLighttpd(): Promise<WebServer> {
  return start(
    'lighttpd',
    (port, dir, root) => `
server.modules = ( "mod_webdav" )
server.document-root = "${root}"
server.bind = "127.0.0.1"
server.port = ${port}
server.upload-dirs = ( "${dir}" )
webdav.activate = "enable"
`,
    (file) => ['-D', '-f', file],
  )
}

/** Caddy as it is packaged can't take uploads, but passes them on to a server that can. */
export function startCaddy(behind: string): Promise<WebServer> {
  return start(
    'env',
    (port) => `{
  admin off
  auto_https off
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
  reverse_proxy ${behind}
}
`,
    // It writes into its home.
    (file, dir) => [`HOME=${dir}`, 'caddy', 'run', '--adapter', 'caddyfile', '--config', file],
  )
}
