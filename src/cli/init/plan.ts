import { dirname, join } from 'node:path'
import { DEFAULTS } from '../../config/config.ts'
import { STATES } from '../../spool/layout.ts'
import { hookToName } from '../own-hook.ts'
import { configText } from './config-file.ts'
import { installSteps } from './install.ts'
import type { Settled } from './settled.ts'
import { directory, file, keyPair, type Step } from './step.ts'

/** What init does, in this order. */
export function stepsFor(settled: Settled): Step[] {
  const { isNixOs, isModuleOn, install } = settled
  if (isModuleOn) return []
  // There, everything but the key is up to the module.
  if (isNixOs) return keySteps(settled)
  return [
    ...(install ? installSteps(settled) : []),
    ...directorySteps(settled),
    ...keySteps(settled),
    ...configSteps(settled),
    ...hookSteps(settled),
  ]
}

function directorySteps(settled: Settled): Step[] {
  const { spool, gcroots, directories, user } = settled
  const place = { mode: 0o755, owner: user }
  return [
    directory(settled, { ...place, path: spool, below: ['tmp', ...STATES], isOurs: true }),
    ...(gcroots === '' ? [] : [directory(settled, { ...place, path: gcroots, isOurs: true })]),
    ...directories.caches.map((path) => directory(settled, { ...place, path })),
  ]
}

function keySteps(settled: Settled): Step[] {
  const { key, user, isNixOs } = settled
  // The module hands it over as a credential.
  return key ? [keyPair(settled, { ...key, owner: isNixOs ? 'root' : user })] : []
}

function configSteps(settled: Settled): Step[] {
  const { configFile, name, to, key, spool, gcroots } = settled
  const content = configText({ name, to, secretKeyFile: key?.secretKeyFile, spool, gcroots })
  return [file(settled, { path: configFile, mode: 0o644, content })]
}

/** The hook reads no configuration, so one for other directories than the default ones is a script. */
function hookSteps(settled: Settled): Step[] {
  if (isDefault(settled)) return []
  const { spool, gcroots } = settled
  const content = [
    '#!/bin/sh',
    "# Nix's post-build-hook, made by `nix-upload init`: nix-daemon gives hooks no variables of ours.",
    `NIX_UPLOAD_SPOOL=${quoted(spool)}`,
    `NIX_UPLOAD_GCROOTS=${quoted(gcroots)}`,
    'export NIX_UPLOAD_SPOOL NIX_UPLOAD_GCROOTS',
    `exec ${quoted(hookToName())}`,
    '',
  ].join('\n')
  return [file(settled, { path: hookOf(settled), mode: 0o755, content, isOurs: true })]
}

/** What `post-build-hook` is to be set to. */
export function hookOf(settled: Settled): string {
  return isDefault(settled) ? hookToName() : join(dirname(settled.configFile), 'post-build-hook')
}

function isDefault({ spool, gcroots }: Settled): boolean {
  return spool === DEFAULTS.spool && gcroots === DEFAULTS.gcroots
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
