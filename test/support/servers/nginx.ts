// The binary cache that many people have: nginx that takes PUT.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer } from './server-process.ts'

export interface NginxOptions {
  /** Directives for `location /`, instead of those that make it take uploads. */
  location?: string
  /** As `client_max_body_size` has it; no limit by default. */
  maxBody?: string
  /** Where the files lie; a directory of its own by default. */
  root?: string
}

export interface Nginx {
  /** Its store URL. */
  url: string
  root: string
  log(): string
  stop(): Promise<void>
}

const TAKES_UPLOADS = 'dav_methods PUT DELETE; create_full_put_path on;'

/** Starts nginx on a free port of 127.0.0.1, with all it writes below a temporary directory. */
export async function startNginx(options: NginxOptions = {}): Promise<Nginx> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-nginx-'))
  const root = options.root ?? join(dir, 'root')
  await mkdir(root, { recursive: true })
  const server = await startServer('nginx', async (port) => {
    const file = join(dir, 'nginx.conf')
    await writeFile(file, configuration(dir, root, port, options))
    return ['-p', dir, '-c', file, '-e', 'stderr']
  })
  const stop = async () => {
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  }
  return { url: `http://127.0.0.1:${server.port}`, root, log: server.log, stop }
}

function configuration(dir: string, root: string, port: number, options: NginxOptions): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join('\n  ')}
  client_max_body_size ${options.maxBody ?? '0'};
  server {
    listen 127.0.0.1:${port};
    root ${root};
    location / { ${options.location ?? TAKES_UPLOADS} }
  }
}
`
}
