import { own } from '../../util/own.ts'
/** A profile of `~/.aws/config` and `~/.aws/credentials`, or of the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name. */
export interface AwsProfile {
  name: string
  /** Undefined if the files have no such profile. */
  settings: Readonly<Record<string, string | undefined>> | undefined
}

/**
 * The profile that credentials are taken from, followed by the profiles that it refers to (`source_profile`).
 * @param name As the URL of a destination has it; without one AWS_PROFILE counts, or `default`.
 */
export async function awsProfiles(name: string | undefined): Promise<[AwsProfile, ...AwsProfile[]]> {
  const { parseKnownFiles } = await import('@smithy/core/config')
  // A user without a home, as in a container, has none.
  const all = await parseKnownFiles({ ignoreCache: true }).catch((): Record<string, undefined> => ({}))
  const named = (wanted: string): AwsProfile => ({ name: wanted, settings: own(all, wanted) })
  const first = named(name || process.env.AWS_PROFILE || 'default')
  const profiles: [AwsProfile, ...AwsProfile[]] = [first]
  for (const { settings } of profiles) {
    const source = settings?.source_profile
    if (source !== undefined && !profiles.some((known) => known.name === source)) profiles.push(named(source))
  }
  return profiles
}

/** The CA certificates for S3 only: AWS_CA_BUNDLE, or `ca_bundle` of the profile. */
export async function awsCaFile(profile: string | undefined): Promise<string | undefined> {
  if (process.env.AWS_CA_BUNDLE) return process.env.AWS_CA_BUNDLE
  const [{ settings }] = await awsProfiles(profile)
  return settings?.ca_bundle
}
