import { existsSync } from 'node:fs'
import { readPlainFile } from '../../util/plain-file.ts'
import { UserError, wordsOf } from '../../util/user-error.ts'

/** Where Nix looks for CA certificates when nobody says where. */
const CA_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt',
]

/**
 * The CA certificates to trust; undefined for those that come with Node.
 * @param configured A file; without one it is Nix's: NIX_SSL_CERT_FILE, SSL_CERT_FILE, or the system's.
 * @throws {UserError} if the file can't be read.
 */
export async function caCertificates(
  configured: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const file =
    configured || env.NIX_SSL_CERT_FILE || env.SSL_CERT_FILE || CA_FILES.find((path) => existsSync(path))
  if (file === undefined) return undefined
  try {
    return readPlainFile(file)
  } catch (error) {
    throw new UserError(
      `the CA certificates can't be read: ${wordsOf(error)}; they are named by ssl-cert-file in nix.conf, NIX_SSL_CERT_FILE or ` +
        'SSL_CERT_FILE, and for S3 by AWS_CA_BUNDLE or ca_bundle of the AWS profile',
    )
  }
}
