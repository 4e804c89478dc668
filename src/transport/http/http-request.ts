import type { Outgoing } from '../outgoing.ts'
import type { Agents } from './agents.ts'

/** An http request to be made. */
export interface HttpRequest {
  method: string
  url: URL
  headers: Record<string, string>
  body?: Outgoing | undefined
  agents: Agents
  signal: AbortSignal
}
