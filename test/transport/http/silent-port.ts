// A port that nobody accepts connections at.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'

/** One whose line is full: connections to it are being made until the end of the test. */
export async function behindSilence(): Promise<URL> {
  const script = `
    use Socket;
    socket(S, PF_INET, SOCK_STREAM, 0);
    bind(S, sockaddr_in(0, INADDR_LOOPBACK));
    listen(S, 0);
    $| = 1;
    print +(sockaddr_in(getsockname S))[0], "\\n";
    sleep 1000;`
  const server = spawn('perl', ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void server.kill('SIGKILL'))
  const [line] = await once(server.stdout, 'data')
  const port = Number(String(line))
  const filler = connect(port, '127.0.0.1')
  filler.on('error', () => undefined)
  onTestFinished(() => void filler.destroy())
  await once(filler, 'connect')
  return new URL(`http://127.0.0.1:${port}/`)
}
