// What a page of HTML shows to who reads it.

const CHARACTERS: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
}

/** Its text, each block on a line of its own. */
export function visibleIn(page: string): string {
  return page
    .replace(/<head>[\s\S]*<\/head>/, '')
    .replaceAll(/<script>[\s\S]*?<\/script>/g, '')
    .replaceAll(/<\/?(?:a|b|code|small|span)(?: [^>]*)?>/g, '')
    .replaceAll(/<[^>]*>/g, '\n')
    .replaceAll(/&(?:lt|gt|quot|#39|amp);/g, (entity) => CHARACTERS[entity] ?? entity)
}

/** All tags in it, without what stands in their attributes. */
export function tagsIn(page: string): string[] {
  return [...page.matchAll(/<(\/?[a-z][a-z0-9]*)/gi)].map(([, name = '']) => name)
}
