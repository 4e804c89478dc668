import { hostname } from 'node:os'
import { storeUrlProblem } from '../../config/store-url.ts'
import { isKeyName } from '../../nix/key-pair.ts'
import { say } from '../print.ts'
import type { Asker } from './asker.ts'

/** What somebody has to say. */
export interface Answers {
  to: string
  sign: boolean
  keyName: string
  install: boolean
}

/** What is said already, by flags; the rest is asked. */
export type Known = { [Key in keyof Answers]?: Answers[Key] | undefined }

/** Asks on a terminal what isn't known. */
export async function ask(asker: Asker, known: Known, defaults: Omit<Answers, 'keyName'>): Promise<Answers> {
  const to = known.to ?? (await askUrl(asker, defaults.to))
  const sign =
    known.sign ?? (await asker.yesOrNo('Sign uploads, so that other machines can trust them?', defaults.sign))
  const keyName = known.keyName ?? (sign ? await askKeyName(asker, keyNameFor(to)) : '')
  const install =
    known.install ?? (await asker.yesOrNo('Put user, hook and systemd units in place?', defaults.install))
  return { to, sign, keyName, install }
}

/** A key is called after the cache: its host or bucket, or this machine for one that lies here. */
export function keyNameFor(to: string): string {
  const [, host = ''] = /^(?:https?|s3|ssh|ssh-ng):\/\/(?:[^@/]*@)?([^/:?#]+)/.exec(to) ?? []
  const name = `${host || hostname()}-1`
  return isKeyName(name) ? name : 'cache-1'
}

async function askUrl(asker: Asker, fallback: string): Promise<string> {
  for (;;) {
    const question =
      'Where to upload? A store URL such as s3://my-cache?region=eu-west-1, https://, ssh-ng:// or file://\n'
    const to = (await asker.question(`${question}[${fallback}] `)) || fallback
    const problem = storeUrlProblem(to)
    if (problem === undefined) return to
    say(problem)
  }
}

async function askKeyName(asker: Asker, fallback: string): Promise<string> {
  for (;;) {
    const name = (await asker.question(`What is the key to be called? [${fallback}] `)) || fallback
    if (isKeyName(name)) return name
    say('expected a name without blanks and colons')
  }
}
