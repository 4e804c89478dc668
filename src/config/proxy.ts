import { BlockList, isIP } from 'node:net'

/** A proxy, and the variable that names it. */
export interface Proxy {
  /** It may have a password in it. */
  url: string
  variable: string
}

/** curl's order. HTTP_PROXY is not among them: under CGI, a request's header `Proxy:` would set it. */
const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  'http:': ['http_proxy', 'all_proxy', 'ALL_PROXY'],
  'https:': ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'],
}
/** curl's default, for proxies at http:// without a port. */
const DEFAULT_PORT = '1080'

/** The proxy for requests to a URL, from the environment, as curl and so Nix read it. */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv): Proxy | undefined {
  const variable = VARIABLES[url.protocol]?.find((name) => env[name])
  const value = variable === undefined ? undefined : env[variable]?.trim()
  if (variable === undefined || !value) return undefined
  if (isExempt(url.hostname, env.no_proxy || env.NO_PROXY || '')) return undefined
  return { variable, url: withPort(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`) }
}

/**
 * Says what is wrong with the proxy for requests to a URL. The proxy itself isn't shown, since it may contain a password.
 * @returns undefined if there is none, or it can be used.
 */
export function proxyProblem(url: URL, env: NodeJS.ProcessEnv): string | undefined {
  const proxy = proxyFor(url, env)
  if (proxy === undefined) return undefined
  const [, scheme = ''] = /^([^:]*):/.exec(proxy.url) ?? []
  const isKnown = ['http', 'https'].includes(scheme.toLowerCase())
  if (isKnown && URL.canParse(proxy.url)) return undefined
  const what = isKnown
    ? `${proxy.variable} is not the address of a proxy`
    : `${proxy.variable} names a proxy at ${scheme}://, which nix-upload can't use (curl and Nix can)`
  const otherwise = isKnown ? '' : ', or let Nix upload (via = "nix")'
  return `${what}: name one at http:// or https://, add ${url.hostname} to no_proxy${otherwise}`
}

function withPort(proxy: string): string {
  const isWithout = URL.canParse(proxy) && /^http:/i.test(proxy) && new URL(proxy).port === ''
  if (!isWithout || /:80\/*$/.test(proxy)) return proxy
  const url = new URL(proxy)
  url.port = DEFAULT_PORT
  return url.href
}

/** Whether no_proxy names a host. Ports have no meaning there, and `*` has one only by itself. */
function isExempt(hostname: string, noProxy: string): boolean {
  if (noProxy === '*') return true
  const host = hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  const entries = noProxy.split(/[\s,]+/).filter((entry) => entry !== '')
  return entries.some((entry) => (isIP(host) ? hasAddress(entry, host) : hasName(entry, host)))
}

function hasName(entry: string, host: string): boolean {
  const name = entry.toLowerCase().replace(/^\.|\.$/g, '')
  return host === name || host.endsWith(`.${name}`)
}

/** An address, or a network such as 10.0.0.0/8. */
function hasAddress(entry: string, address: string): boolean {
  const [network = '', bits] = entry.replaceAll(/[[\]]/g, '').split('/')
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4'
  const most = family === 'ipv6' ? 128 : 32
  const prefix = bits === undefined ? most : Number(bits)
  if (isIP(network) !== isIP(address) || !(Number.isInteger(prefix) && prefix <= most)) return false
  const list = new BlockList()
  list.addSubnet(network, prefix, family)
  return list.check(address, family)
}
