import type { Destination } from '../config/config.ts'
import { isBinaryCache } from '../config/store-url.ts'
import { corruptPaths } from '../nix/local-store.ts'
import { commandRoute } from './command-route.ts'
import { nixRoute } from './nix-route.ts'
import { unwanted } from './policy.ts'
import type { Route } from './route.ts'

/** Chooses the way to a destination. A new kind of destination is added here, see CONTRIBUTING.md. */
export function routeTo(destination: Destination): Route {
  const way = destination.command ? commandRoute(destination.command, destination) : nixRoute(destination)
  // Other stores check the content themselves when they take a path in.
  const isUnchecked = isBinaryCache(destination.to) && !destination.command && destination.checkContents
  return {
    ...way,
    unwanted: (paths, signal) => unwanted(destination, paths, signal),
    corrupt: async (paths, signal) => (isUnchecked ? corruptPaths(paths, signal) : new Set()),
  }
}
