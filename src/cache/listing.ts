import { hashOf } from '../nix/store-path.ts'
import type { Transport } from '../transport/transport.ts'
import { UploadFailure } from '../util/verdict.ts'
import { contentTypeOf } from './content-type.ts'
import type { Listing } from './nar/nar-blocks.ts'

/** The list of files in an archive (nix: `write-nar-listing`), with its keys in Nix's order. */
export function listingText(root: Listing): string {
  return `{"root":${nodeText(root)},"version":1}`
}

function nodeText(node: Listing): string {
  switch (node.type) {
    case 'directory': {
      const entries = [...node.entries].map(([name, entry]) => `${JSON.stringify(name)}:${nodeText(entry)}`)
      return `{"entries":{${entries.join(',')}},"type":"directory"}`
    }
    case 'symlink':
      return `{"target":${JSON.stringify(node.target)},"type":"symlink"}`
    case 'regular': {
      const executable = node.isExecutable ? '"executable":true,' : ''
      return `{${executable}"narOffset":${node.narOffset},"size":${node.size},"type":"regular"}`
    }
  }
}

/** Sends the listing of a path. Nobody needs it to fetch the path, so one that is refused is only warned of. */
export async function sendListing(
  transport: Transport,
  path: string,
  listing: Listing,
  signal: AbortSignal,
  onWarning: (message: string) => void,
): Promise<void> {
  const name = `${hashOf(path)}.ls`
  try {
    const body = Buffer.from(listingText(listing))
    await transport.put({ name, contentType: contentTypeOf(name), body }, signal, () => undefined)
  } catch (error) {
    if (!(error instanceof UploadFailure) || !error.isOfOneFile) throw error
    onWarning(
      `the destination does not take ${name}, the listing of ${path}, so it goes without: ${error.message}; ` +
        'write-nar-listing=false in the URL sends none',
    )
  }
}
