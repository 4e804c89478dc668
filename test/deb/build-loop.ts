import type { Machine } from '../systemd/machine.ts'

/** What came of builds that went on for as long as something else was done. */
export interface Builds {
  count: number
  failed: string[]
  /** The store paths whose hook said that it queued them. */
  queued: number
}

const DERIVATION = `{ name }: derivation {
  inherit name;
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "echo ${'$'}{name} > $out" ];
}
`

const LOOP = `count=0
while [ ! -e /tmp/enough ]; do
  count=$((count + 1))
  nix-build --no-out-link --argstr name "loop-$count-$1" /srv/loop.nix 2>/tmp/said || echo "FAILED $(tail -n 3 /tmp/said | tr '\\n' ' ')"
  if grep -q 'nix-upload: queued' /tmp/said; then echo QUEUED; fi
done
echo "COUNT $count"
`

/**
 * Has an ordinary user build one thing after the other while something is done, and a few times before and after it.
 * @param name Of what is built; each needs its own.
 */
export async function whileBuilding(
  machine: Machine,
  name: string,
  act: () => Promise<void>,
): Promise<Builds> {
  machine.write('srv/loop', LOOP)
  machine.write('srv/loop.nix', DERIVATION)
  await machine.do('rm', '-f', '/tmp/enough')
  const loop = machine.run('runuser', ['-u', 'builder', '--', 'sh', '/srv/loop', name], 120_000)
  const pause = () => new Promise((resolve) => setTimeout(resolve, 700))
  await pause()
  try {
    await act()
    await pause()
  } finally {
    await machine.do('touch', '/tmp/enough')
  }
  const { stdout, stderr } = await loop
  const [, count] = /^COUNT (\d+)$/m.exec(stdout) ?? []
  if (count === undefined) throw new Error(`the loop of builds ended early: ${stdout}${stderr}`)
  return {
    count: Number(count),
    failed: stdout.match(/^FAILED.*/gm) ?? [],
    queued: stdout.match(/^QUEUED$/gm)?.length ?? 0,
  }
}
