import { STATES } from '../../spool/layout.ts'
import { hookText, installedHook } from '../installed-hook.ts'
import { configText } from './config-file.ts'
import { installSteps } from './install.ts'
import type { Settled } from './settled.ts'
import { directory, file, keyPair, type Step } from './step.ts'

/** The steps of init, in this order. */
export function stepsFor(settled: Settled): Step[] {
  const { isNixOs, isModuleOn, install } = settled
  if (isModuleOn) return []
  // On NixOS, the module does everything but the key.
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
  // The module passes it as a credential.
  return key ? [keyPair(settled, { ...key, owner: isNixOs ? 'root' : user })] : []
}

function configSteps(settled: Settled): Step[] {
  const { configFile, name, to, key, spool, gcroots } = settled
  const content = configText({ name, to, secretKeyFile: key?.secretKeyFile, spool, gcroots })
  return [file(settled, { path: configFile, mode: 0o644, content })]
}

/** No package owns it, so no upgrade removes it. */
function hookSteps(settled: Settled): Step[] {
  const { spool, gcroots, program, configFile } = settled
  const content = hookText({ spool, gcroots, program: program.file })
  return [file(settled, { path: installedHook(configFile), mode: 0o755, content, isOurs: true })]
}
