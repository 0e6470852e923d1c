import { type ControlServer, openControlServer } from './control-server.ts'
import { engineError } from '../errors.ts'
import type { HomeLayout } from '../home/home-layout.ts'

/** What the process that runs a standby answers with. */
export interface StandbyHandlers {
  /** JSON-safe. */
  status(): object
  /** Lets go of the folder soon; who asked waits for its lock. */
  leave(): void
}

/**
 * Listens in the folder of a standby as a home does, so that a promotion need not know the process: what only a database can do is
 * refused by name. Never fails: without a socket the standby is stopped by hand.
 */
export function openStandbyControl(layout: HomeLayout, handlers: StandbyHandlers): Promise<ControlServer> {
  const refuse = (): never => {
    throw engineError('ENGINE_HOME_STANDBY', 'the folder is a standby', { details: { home: layout.home } })
  }
  return openControlServer(layout, {
    status: () => handlers.status(),
    leave: () => {
      // After the reply is on its way: the socket goes with the standby.
      setImmediate(() => handlers.leave())
      return {}
    },
    checkpoint: refuse,
    switchSegment: refuse,
    meter: refuse,
    digest: refuse,
    quiesce: refuse,
    resume: refuse,
    mark: refuse,
    prepare: refuse,
    isHeld: refuse,
    commit: refuse,
  })
}
