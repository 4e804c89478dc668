// Why there are no AWS credentials: what the SDK swallows is said all the same, and nothing that is secret.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { expectFailure, never, temporaryDirectory } from '../bed.ts'
import { NOBODY, withTransport } from './s3-bed.ts'

const SECRET = 'hunter2'
const USER = userInfo().username
const GOOD = `{"Version":1,"AccessKeyId":"KEY","SecretAccessKey":"${SECRET}"}`
const OLD = GOOD.replace('}', ',"Expiration":"2020-01-01T00:00:00Z"}')

/** What is said where the files of AWS have this, and the URL names a profile, or AWS_PROFILE does. */
async function saysOf(config: string, profile: string, env: Record<string, string> = {}): Promise<string> {
  const dir = await temporaryDirectory()
  const file = join(dir, 'config')
  writeFileSync(file, config)
  const query = profile === '' ? '' : `&profile=${profile}`
  const to = `s3://cache?endpoint=http://127.0.0.1:1${query}`
  const message = await withTransport(to, NOBODY, async (transport) =>
    withEnvironment({ AWS_CONFIG_FILE: file, AWS_SHARED_CREDENTIALS_FILE: '/nowhere', ...env }, () =>
      expectFailure(transport.get('x.narinfo', never), { says: /./ }),
    ),
  )
  expect(message).not.toContain(SECRET)
  return message.replaceAll(file, 'FILE')
}

const process_ = (command: string) => `[profile cache]\ncredential_process = ${command}\n`
const INTRO = `credential_process of the AWS profile "cache" gives no credentials: run it as ${USER} and mend it, or what it asks (FILE); `

test.each([
  [
    'fails',
    `sh -c 'echo "the vault is sealed" >&2; echo "${SECRET}"; exit 3'`,
    'it ends with status 3: the vault is sealed',
  ],
  ['fails and says nothing', 'false', 'it ends with status 1 and says nothing on stderr'],
  ['is not there', '/no/such/helper', /^it ends with status 127: .*\/no\/such\/helper.*not found/],
  [
    'prints no JSON',
    `sh -c 'echo ${SECRET}; echo careful >&2'`,
    'what it prints is no JSON; on stderr: careful',
  ],
  [
    'prints another version',
    `echo '{"Version":2,"SecretAccessKey":"${SECRET}"}'`,
    'what it prints has no "Version": 1',
  ],
  [
    'prints no key',
    `echo '{"Version":1,"SecretAccessKey":"${SECRET}"}'`,
    'what it prints has no "AccessKeyId"',
  ],
  ['prints old ones', `echo '${OLD}'`, 'the credentials that it prints ran out at 2020-01-01T00:00:00.000Z'],
])('a credential_process that %s', async (_, command, why) => {
  const message = await saysOf(process_(command), 'cache')
  expect(message.slice(0, INTRO.length)).toBe(INTRO)
  if (typeof why === 'string') expect(message.slice(INTRO.length)).toBe(why)
  else expect(message.slice(INTRO.length)).toMatch(why)
})

test('a credential_process that another profile takes its credentials from', async () => {
  const role = '[profile role]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = cache\n'
  const message = await saysOf(process_('false') + role, '', { AWS_PROFILE: 'role' })
  expect(message.slice(0, INTRO.length)).toBe(INTRO)
})

test('a credential_process is run once more, however many wait for it', async () => {
  const dir = await temporaryDirectory()
  const runs = join(dir, 'runs')
  writeFileSync(join(dir, 'config'), process_(`sh -c 'echo run >> ${runs}; sleep 0.2; exit 1'`))
  const env = { AWS_CONFIG_FILE: join(dir, 'config'), AWS_SHARED_CREDENTIALS_FILE: '/nowhere' }
  const count = async (requests: number) => {
    await withTransport('s3://cache?endpoint=http://127.0.0.1:1&profile=cache', NOBODY, (transport) =>
      withEnvironment(env, () =>
        Promise.allSettled(Array.from({ length: requests }, () => transport.get('x', never))),
      ),
    )
    const seen = existsSync(runs) ? readFileSync(runs, 'utf8').split('\n').length - 1 : 0
    rmSync(runs)
    return seen
  }
  expect(await count(10)).toBe(await count(1))
})

const SSO = 'sso_account_id = 123456789012\nsso_role_name = x\n'
const SESSION = '[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x.invalid/start\n'

test.each([
  ['with a session', `[profile cache]\nsso_session = s\n${SSO}${SESSION}`],
  [
    'of the old kind',
    `[profile cache]\nsso_start_url = https://x.invalid/start\nsso_region = us-east-1\n${SSO}`,
  ],
])('single sign-on that was never made or has run out, %s', async (_, config) => {
  const message = await saysOf(config, 'cache')
  expect(message).toMatch(
    /^the single sign-on of the AWS profile "cache" has run out, or was never made: as /,
  )
  expect(message).toContain(`as ${USER} type aws sso login --profile cache; or give`)
})

test('a profile that is not there', async () => {
  const message = await saysOf(process_('false'), 'cahce')
  expect(message).toMatch(new RegExp(`^there is no AWS profile "cahce" for the user ${USER}: .*FILE`))
})

test('a profile with a token file that is not there', async () => {
  const config =
    '[profile cache]\nrole_arn = arn:aws:iam::123456789012:role/x\nweb_identity_token_file = /no/such/token\n'
  expect(await saysOf(config, 'cache')).toMatch(
    /^no AWS credentials from the profile "cache" .*\/no\/such\/token/,
  )
})

test('nothing at all', async () => {
  expect(await saysOf('', '')).toMatch(/^no AWS credentials for the user /)
})
