import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DEFAULTS } from '../../config/config.ts'
import { startOf } from '../../daemon/identity.ts'
import { setting, usesDaemon } from '../../nix/settings.ts'
import { findProgram } from '../../util/find-program.ts'
import { codeOf, wordsOf } from '../../util/user-error.ts'
import { settingIn } from '../installed-hook.ts'
import { isOurs } from '../own-hook.ts'
import { type Check, fail, ok, type Patient, quoted, toType, unseen, warn } from './check.ts'
import { checkHookFile } from './hook-file.ts'
import { hookRemedies, RESTART } from './hook-remedies.ts'
import { environmentOf } from './service.ts'

const NAME = 'hook'
/** The time of boot, and so the start time of a process, is only known to the second. */
const CLOCK_GRAIN_MS = 2_000

/** Does Nix run our hook after a build, and does the hook use this spool? */
export async function checkHook(patient: Patient): Promise<Check[]> {
  const { config } = patient
  const { file, byDaemon, isRoot } = await namedHook()
  const conf = join(process.env.NIX_CONF_DIR ?? '/etc/nix', 'nix.conf')
  const { hook, lines, ifMissing } = hookRemedies(config, conf)
  if (file === '') {
    const remedy = toType('Set it, and restart nix-daemon', ...lines(hook))
    return [fail(NAME, 'no post-build-hook is set, so builds are not queued', remedy)]
  }
  const text = textOf(file)
  if (text instanceof Error) {
    const missing = codeOf(text) === 'ENOENT' ? `there is no ${file}` : wordsOf(text)
    return [fail(NAME, `${missing}, but post-build-hook names it: every build fails`, ifMissing(file))]
  }
  if (!findProgram(file)) {
    return [
      fail(
        NAME,
        `${file} is not executable: every build fails`,
        toType('As root', `chmod 755 ${quoted(file)}`),
      ),
    ]
  }
  const found = checkHookFile(file, text, patient)
  if (found?.state === 'fail') return [found]
  if (!isOurs(file) && !text.includes('nix-upload-hook')) {
    const remedy = toType(
      `Make ${file} run ${hook}, or replace it; if there are two lines, the last one counts`,
      ...lines(hook),
    )
    return [fail(NAME, `post-build-hook is ${file}, which does not run nix-upload-hook`, remedy)]
  }
  const daemon = byDaemon || isRoot ? nixDaemon() : undefined
  if (
    byDaemon &&
    !isRoot &&
    settingIn(text, 'NIX_UPLOAD_SPOOL') === undefined &&
    config.spool !== DEFAULTS.spool
  ) {
    const what = `${file}; only root can see whether it uses the spool ${config.spool}, since that is in nix-daemon's environment`
    return [unseen(NAME, what)]
  }
  const spool =
    settingIn(text, 'NIX_UPLOAD_SPOOL') ??
    (daemon?.env ?? (byDaemon ? {} : process.env)).NIX_UPLOAD_SPOOL ??
    DEFAULTS.spool
  if (spool !== config.spool) {
    const what = `${file} uses the spool ${spool}, but this configuration has the spool ${config.spool}`
    const script = '/etc/nix-upload/post-build-hook'
    const remedy = toType(
      'Use a hook with the right spool',
      'mkdir -p /etc/nix-upload',
      `printf '#!/bin/sh\\nNIX_UPLOAD_SPOOL=%s exec %s\\n' ${quoted(config.spool)} ${hook} > ${script}`,
      `chmod 755 ${script}`,
      ...lines(script),
    )
    return [fail(NAME, what, remedy)]
  }
  if (found) return [found]
  const changedMs = statSync(conf, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (daemon && daemon.startedMs + CLOCK_GRAIN_MS < changedMs) {
    const what = `${file}, but ${conf} was changed after the start of nix-daemon, which may not know the hook`
    return [warn(NAME, what, toType('If the hook is new', RESTART))]
  }
  return [ok(NAME, file)]
}

/** The value of `post-build-hook`, empty if it is not set, and who would run it. */
export async function namedHook(): Promise<{ file: string; byDaemon: boolean; isRoot: boolean }> {
  const byDaemon = await usesDaemon()
  const isRoot = process.getuid?.() === 0
  const file = await setting('post-build-hook', byDaemon || isRoot ? 'machine' : 'user')
  return { file, byDaemon, isRoot }
}

function textOf(file: string): string | Error {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** The nix-daemon of this store, if we may see it: its start time and its environment. */
function nixDaemon(): { startedMs: number; env: Record<string, string> } | undefined {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'nix-daemon\n') continue
      const env = environmentOf(Number(pid))
      if (!env || env.NIX_STATE_DIR !== process.env.NIX_STATE_DIR) continue
      return { startedMs: startOf(Number(pid)) ?? Number.POSITIVE_INFINITY, env }
    } catch {
      // It has ended.
    }
  }
  return undefined
}
