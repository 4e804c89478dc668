import { isObject } from '../../util/is-object.ts'
import { NotStartedError, run } from '../../util/run-program.ts'
import { IS_UNIT, whereToSet } from '../../util/unit.ts'
import { userName } from '../../util/user-name.ts'
import { networkFailure } from '../http/network-failure.ts'
import { TransportFailure } from '../transport-failure.ts'
import { type AwsProfile, awsProfiles } from './aws-profile.ts'

const BY_SERVICE = IS_UNIT ? " of this service (the shell of root doesn't count)" : ''

/** How long a `credential_process` may be silent. */
const SILENCE_MS = 30_000

/**
 * Why there are no AWS credentials. The SDK asks one provider after the other, and usually reports only that none had any. So the
 * hidden errors are looked up or provoked again.
 * @param error As the SDK threw it.
 * @param profile As the URL of the destination has it.
 */
export async function noCredentials(error: unknown, profile: string | undefined): Promise<TransportFailure> {
  const network = networkFailure(error, 'asking for AWS credentials')
  if (network) return network
  const said = error instanceof Error ? error.message : String(error)
  const because = (means: string, why = `the AWS SDK says: ${said}`) => new TransportFailure({ means }, why)
  const profiles = await awsProfiles(profile)
  const [{ name, settings }] = profiles
  if (settings === undefined && (profile || process.env.AWS_PROFILE)) {
    const means = `there is no AWS profile "${name}" for the user ${userName()}: correct it, or write it into ${configFile()}`
    return because(means)
  }
  for (const each of profiles) {
    const why = await whyProcessFailed(each)
    if (why === undefined) continue
    const means = `credential_process of the AWS profile "${each.name}" gives no credentials: run it as ${userName()} and mend it, or what it asks (${configFile()})`
    return because(means, why)
  }
  if (settings?.sso_session !== undefined || settings?.sso_start_url !== undefined) {
    return because(
      `the single sign-on of the AWS profile "${name}" has run out, or was never made: as ${userName()} type ` +
        `aws sso login --profile ${name}; or give the service credentials that renew themselves`,
    )
  }
  const ofProfile = settings === undefined ? '' : ` from the profile "${name}"`
  return because(
    `no AWS credentials${ofProfile} for the user ${userName()}${BY_SERVICE}: set ` +
      `AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE${whereToSet()}, or write ${home()}/.aws/credentials, or give ` +
      'the machine a role',
  )
}

/**
 * Runs the `credential_process` of a profile once more. What it prints on stdout is secret, and not shown.
 * @returns undefined if there is none, or it gives credentials.
 */
async function whyProcessFailed({ name, settings }: AwsProfile): Promise<string | undefined> {
  const program = settings?.credential_process
  if (program === undefined) return undefined
  try {
    const { exitCode, stdout, lines, ended } = await run('/bin/sh', ['-c', program], {
      silenceMs: SILENCE_MS,
    })
    const words = lines.slice(-3).join('; ').slice(-200)
    const saying = words === '' ? ' and says nothing on stderr' : `: ${words}`
    if (ended !== undefined) return `it is silent for more than ${SILENCE_MS / 1000} s${saying}`
    if (exitCode !== 0)
      return `it ends with ${exitCode === undefined ? 'a signal' : `status ${exitCode}`}${saying}`
    const wrong = whatIsWrong(stdout)
    return wrong === undefined ? undefined : `${wrong}${words === '' ? '' : `; on stderr: ${words}`}`
  } catch (error) {
    if (error instanceof NotStartedError) return `the profile "${name}" can't be tried: ${error.message}`
    throw error
  }
}

/** AWS: "Sourcing credentials with an external process". */
function whatIsWrong(stdout: string): string | undefined {
  let printed: unknown
  try {
    printed = JSON.parse(stdout)
  } catch {
    return 'what it prints is no JSON'
  }
  if (!isObject(printed) || printed.Version !== 1) return 'what it prints has no "Version": 1'
  const missing = ['AccessKeyId', 'SecretAccessKey'].find((key) => typeof printed[key] !== 'string')
  if (missing !== undefined) return `what it prints has no "${missing}"`
  const ends = Date.parse(String(printed.Expiration))
  return ends < Date.now()
    ? `the credentials that it prints ran out at ${new Date(ends).toISOString()}`
    : undefined
}

function configFile(): string {
  return process.env.AWS_CONFIG_FILE || `${home()}/.aws/config`
}

function home(): string {
  return process.env.HOME ?? '~'
}
