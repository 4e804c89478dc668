// Buckets, and who we are to S3.

import { S3Client } from '@aws-sdk/client-s3'
import { S3Transport } from '../../../src/transport/s3/s3-transport.ts'
import type { Transport } from '../../../src/transport/transport.ts'
import type { TransportOptions } from '../../../src/transport/transport-options.ts'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import type { S3User } from '../../support/servers/radosgw.ts'
import { quickConcurrency } from '../bed.ts'

export const NOBODY: S3User = { accessKeyId: '', secretAccessKey: '' }
/** For servers that check no signatures. */
export const ANYBODY: S3User = { accessKeyId: 'KEY', secretAccessKey: 'SECRET' }

/** The environment of a service with these credentials and no others. */
export function environmentOf(user: S3User, home = '/nonexistent'): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: user.accessKeyId,
    AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
    AWS_SESSION_TOKEN: '',
    AWS_PROFILE: '',
    // Otherwise the SDK asks the cloud that this machine might be in.
    AWS_EC2_METADATA_DISABLED: 'true',
    HOME: home,
  }
}

/** Does something with a way to a bucket as a user. */
export async function withTransport<T>(
  to: string,
  user: S3User,
  use: (transport: Transport) => Promise<T>,
  options: Partial<TransportOptions> = {},
): Promise<T> {
  return await withEnvironment(environmentOf(user), async () => {
    const transport = new S3Transport({
      to,
      progressTimeoutMs: 20_000,
      requests: quickConcurrency(),
      ...options,
    })
    try {
      return await use(transport)
    } finally {
      transport.close()
    }
  })
}

/** The AWS SDK as anyone would use it, to look at what is there. */
export function clientOf(endpoint: string, credentials: S3User): S3Client {
  return new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true })
}

/** What S3 says in words. */
export function errorXml(code: string, message = ''): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`
}
