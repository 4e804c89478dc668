import type { Destination } from '../config/config.ts'
import { isBinaryCache } from '../config/store-url.ts'
import { corruptPaths } from '../nix/local-store.ts'
import { commandRoute } from './command-route.ts'
import { nixRoute } from './nix-route.ts'
import { isChoosy, unwanted } from './policy.ts'
import type { RecentlyWhole } from './recently-whole.ts'
import type { Route } from './route.ts'
import { makeStagedRoute, type Shared as StageShared } from './staged/make-staged-route.ts'

/** What the destinations of a configuration share. */
export interface Shared extends StageShared {
  whole: RecentlyWhole
}

/** Chooses the way to a destination. A new kind of destination is added here, see CONTRIBUTING.md. */
export function routeTo(destination: Destination, shared: Shared): Route {
  const way = wayTo(destination, shared)
  // Other stores check the content themselves when they take a path in.
  const isUnchecked = isBinaryCache(destination.to) && !destination.command && destination.checkContents
  return {
    send: (...args) => way.send(...args),
    probe: (...args) => way.probe(...args),
    close: () => way.close?.(),
    takesAll: async (paths, signal) =>
      isUnchecked && !isChoosy(destination) && shared.whole.has(destination.name, paths, signal),
    unwanted: (paths, signal) => unwanted(destination, paths, signal),
    corrupt: async (paths, signal) => (isUnchecked ? corruptPaths(paths, signal) : new Set()),
  }
}

function wayTo(destination: Destination, shared: Shared): Pick<Route, 'send' | 'probe' | 'close'> {
  if (destination.command) return commandRoute(destination.command, destination)
  return destination.via === 'stage'
    ? makeStagedRoute(destination, shared)
    : nixRoute(destination, shared.store)
}
