/**
 * Updates the page each second, while somebody looks. The page shows all that the server sent, but only the
 * differences are exchanged, so that selection, focus and scroll position stay. If the server no longer answers,
 * the page says so, since old figures look like new ones. Without scripts the page is reloaded instead.
 */
export const SCRIPT = `
'use strict'
{
  const EVERY_MS = 1000
  const TIMEOUT_MS = 10000
  let timer

  const morph = (now, next) => {
    if (now.isEqualNode(next)) return
    if (now.nodeName !== next.nodeName) return now.replaceWith(next)
    if (now.nodeType !== Node.ELEMENT_NODE) return void (now.data = next.data)
    for (const { name } of [...now.attributes]) if (!next.hasAttribute(name)) now.removeAttribute(name)
    for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value)
    const [old, fresh] = [[...now.childNodes], [...next.childNodes]]
    fresh.forEach((node, at) => (old[at] ? morph(old[at], node) : now.append(node)))
    for (const node of old.slice(fresh.length)) node.remove()
  }

  const load = async () => {
    const response = await fetch('', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) })
    const next = new DOMParser().parseFromString(await response.text(), 'text/html')
    if (!response.ok || !next.querySelector('main')) throw new Error('that is another page')
    const edition = (page) => page.querySelector('meta[name=edition]').content
    if (edition(next) !== edition(document)) return location.reload()
    document.title = next.title
    morph(document.querySelector('link[rel=icon]'), next.querySelector('link[rel=icon]'))
    morph(document.body, next.body)
  }

  const refresh = async () => {
    clearTimeout(timer)
    timer = undefined
    if (document.hidden) return
    await load().catch(() => {
      const notice = document.querySelector('.notice')
      notice.textContent = 'No answer since ' + document.querySelector('time').textContent + ': the daemon may have stopped. What is below is as old as that.'
      notice.hidden = false
    })
    clearTimeout(timer)
    timer = setTimeout(refresh, EVERY_MS)
  }

  timer = setTimeout(refresh, EVERY_MS)
  document.addEventListener('visibilitychange', refresh)
}
`
