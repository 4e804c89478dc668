/** Nix's settings that matter for uploads. Those that are not set are undefined. */
export interface NetworkSettings {
  /** `ssl-cert-file`: the CA certificates to trust. */
  caFile?: string
  /** `netrc-file`: user names and passwords; it may be missing. */
  netrcFile?: string
  /** `connect-timeout`: how long to wait for a connection. */
  connectTimeoutMs?: number
  /** `http-connections`: how many requests to one destination may be in flight. */
  connections?: number
}
