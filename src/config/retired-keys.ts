const STAGE = 'paths are not packed on a disk any more before they are sent'
const BECAME = {
  stage: `"stage" has no effect: ${STAGE}, and the directory can be removed`,
  'stage-size': `"stage-size" has no effect: ${STAGE}`,
  'check-contents': '"check-contents" has no effect: every path is checked as it is sent, at no cost',
} as const

/** Keys of older versions: an old configuration that has them still starts. */
export const RETIRED_KEYS: readonly string[] = Object.keys(BECAME)

/** The part of a configuration file that may have such keys. */
interface OldFile {
  stage?: unknown
  'stage-size'?: unknown
  destination?: readonly { 'check-contents'?: unknown; via?: unknown }[] | undefined
}

/** One sentence about each key of older versions that a configuration still has. */
export function retiredKeys(file: OldFile): string[] {
  const sections = file.destination ?? []
  return [
    ...(file.stage === undefined ? [] : [BECAME.stage]),
    ...(file['stage-size'] === undefined ? [] : [BECAME['stage-size']]),
    ...(sections.some((section) => section['check-contents'] !== undefined)
      ? [BECAME['check-contents']]
      : []),
    ...(sections.some(({ via }) => via === 'stage')
      ? [`"via = "stage"" has no effect: ${STAGE}, and binary caches are written without "via"`]
      : []),
  ]
}
