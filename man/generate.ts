// `npm run man`: writes the manual pages. They are kept in the repository, so that nobody needs this to read them.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pages } from './pages.ts'

for (const [name, text] of await pages()) writeFileSync(join(import.meta.dirname, name), text)
