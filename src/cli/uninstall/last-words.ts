import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setting } from '../../nix/settings.ts'
import { spoolIfThere } from '../../spool/layout.ts'
import { count } from '../../spool/survey.ts'
import { section } from '../init/advice.ts'
import { localDirectory } from '../init/settled.ts'
import { installedHook } from '../installed-hook.ts'
import { counted } from '../print.ts'
import { type Installation, nixConf } from './plan.ts'

const HERE = fileURLToPath(import.meta.url)

/**
 * The steps that are left to do by hand, as lines to copy, and what stays.
 * @param isDone Whether the rest was done. After a dry run, nix.conf is as it was.
 */
export async function lastWords(
  installation: Installation,
  { purge, isDone }: { purge: boolean; isDone: boolean },
): Promise<string> {
  const { configFile, hasSystemd } = installation
  const hook = installedHook(configFile)
  const named = await setting('post-build-hook', 'machine').catch(() => '')
  const isStillNamed = isDone && (named === hook || named.endsWith('/nix-upload-hook'))
  const stays = [
    ...(existsSync(hook)
      ? [
          `${hook}, which queues nothing any more. Remove it when all running builds have ended: without it, they would fail`,
        ]
      : []),
    ...(purge
      ? cachesOf(installation)
      : [...spoolOf(installation), ...keysOf(installation), ...cachesOf(installation)]),
  ]
  return [
    ...(isStillNamed
      ? [
          `post-build-hook is still ${named}: remove it from ${nixConf()} or from a file that this includes.\n`,
        ]
      : []),
    ...(hasSystemd ? [section('Make nix-daemon forget the hook', ['systemctl restart nix-daemon'])] : []),
    section('Remove the program', [removalCommand(installation)]),
    `This stays:\n${stays.map((line) => `- ${line}\n`).join('')}`,
  ].join('\n')
}

function spoolOf({ config }: Installation): string[] {
  const spool = spoolIfThere(config.spool)
  if (!spool) return []
  const jobs = count(spool, 'new').jobs + count(spool, 'cur').jobs + count(spool, 'failed').jobs
  if (jobs === 0) return [`${config.spool}, without waiting or failed jobs`]
  return [
    `${config.spool}, with ${counted(jobs, 'job')} whose paths stay protected from garbage collection by ${config.gcroots}`,
  ]
}

function keysOf({ config, configFile }: Installation): string[] {
  const directory = dirname(configFile)
  const keys = config.destinations.flatMap(({ secretKeyFile }) => secretKeyFile ?? [])
  return existsSync(directory) ? [`${directory}, the configuration`, ...keys] : keys
}

function cachesOf({ config }: Installation): string[] {
  const caches = config.destinations.flatMap(({ to }) => localDirectory(to) ?? [])
  return caches.filter((cache) => existsSync(cache)).map((cache) => `${cache}, the cache`)
}

function removalCommand({ isPackaged }: Installation): string {
  if (isPackaged) return 'apt-get remove nix-upload'
  if (HERE.includes('/node_modules/')) return 'npm uninstall --global nix-upload'
  if (HERE.startsWith('/nix/store/')) {
    return 'nix profile remove nix-upload --profile /nix/var/nix/profiles/default     # or nix-env --uninstall'
  }
  return `rm -r ${fileURLToPath(new URL('../../..', import.meta.url))}     # this checkout`
}
