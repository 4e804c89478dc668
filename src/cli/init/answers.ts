import { hostname } from 'node:os'
import { typedUrlProblem } from '../../config/typed-url.ts'
import { isKeyName } from '../../nix/key-pair.ts'
import { say } from '../print.ts'
import type { Asker } from './asker.ts'

/** The answers that `init` needs. */
export interface Answers {
  to: string
  sign: boolean
  keyName: string
  install: boolean
}

/** The answers that flags gave; the others are asked for. */
export type Known = { [Key in keyof Answers]?: Answers[Key] | undefined }

/** Asks on a terminal for the missing answers. */
export async function ask(asker: Asker, known: Known, defaults: Omit<Answers, 'keyName'>): Promise<Answers> {
  const to = known.to ?? (await askUrl(asker, defaults.to))
  const sign =
    known.sign ?? (await asker.yesOrNo('Sign uploads, so that other machines can trust them?', defaults.sign))
  const keyName = known.keyName ?? (sign ? await askKeyName(asker, keyNameFor(to)) : '')
  const install =
    known.install ??
    (await asker.yesOrNo('Create the user, and install the hook and the systemd units?', defaults.install))
  return { to, sign, keyName, install }
}

/** A key is named after the cache: its host or bucket, or this machine if the cache is here. */
export function keyNameFor(to: string): string {
  const [, host = ''] = /^(?:https?|s3|ssh|ssh-ng):\/\/(?:[^@/]*@)?([^/:?#]+)/.exec(to) ?? []
  const name = `${host || hostname()}-1`
  return isKeyName(name) ? name : 'cache-1'
}

async function askUrl(asker: Asker, fallback: string): Promise<string> {
  for (;;) {
    const question =
      'Upload to which store URL? For example s3://my-cache?region=eu-west-1, https://…, ssh-ng://… or file:///…\n'
    const to = (await asker.question(`${question}[${fallback}] `)) || fallback
    const problem = typedUrlProblem(to)
    if (problem === undefined) return to
    say(problem)
  }
}

async function askKeyName(asker: Asker, fallback: string): Promise<string> {
  for (;;) {
    const name = (await asker.question(`Name of the key? [${fallback}] `)) || fallback
    if (isKeyName(name)) return name
    say('expected a name without spaces and colons')
  }
}
