import { UploadFailure } from '../util/verdict.ts'

/**
 * The answer comes from something else: a portal, an error page, another service.
 * @param name The file that was asked for.
 * @param is What came, in few words.
 */
export function noCache(name: string, is: string): UploadFailure {
  return failure(name, is, false)
}

/** The same for a file of one path: if the cache has others, only this file is not what it should be. */
export function noCacheFile(name: string, is: string): UploadFailure {
  return failure(name, is, true)
}

/** The first words of a text, in quotes. */
export function quoted(text: string): string {
  return `"${text.trim().replaceAll(/\s+/g, ' ').slice(0, 60)}"`
}

function failure(name: string, is: string, isOfOneFile: boolean): UploadFailure {
  const answer = `to ${name} it answers with ${is}`
  const message = `what answers there is no binary cache: ${answer}; check the URL, and whether a proxy or a login page is in between`
  const said = `${answer}: see what it has there, and remove that`
  return new UploadFailure(
    { blame: 'destination', permanent: false, message, said },
    { isOfOneFile, isTrouble: isOfOneFile },
  )
}
