/** Who gives way when the requests of all connections together hold as much as they may. */

import { type ByteBudget, Claim } from './byte-budget.ts';
import type { Connection, IncomingNeed } from './connection.ts';
import { ErrorCode } from './error-code.ts';

/** So many connections are asked for one small call, from the fullest on. */
const MAX_ASKED = 8;
const TOO_MUCH_HELD = 'others need the room that requests on this connection hold';

/**
 * Ends requests on the connection that holds most, of the address that holds most. A large message only displaces what
 * belongs to someone who holds twice as much, so that two who upload in earnest do not end each other's requests in turn; a
 * small call always finds room.
 * @returns whether there is room in `incoming` now
 */
export function makeRoomForRequest(
  incoming: ByteBudget,
  connections: Iterable<Connection>,
  { connection, stream, bytes, claim }: IncomingNeed,
): boolean {
  const hasRoom = (): boolean => incoming.has(bytes, claim);
  const asked = new Set<Connection>();
  while (!hasRoom()) {
    const worst = fullest(connections, asked);
    if (worst === undefined || asked.size === MAX_ASKED) return false;
    if (claim !== Claim.SMALL && !isFarAbove(worst, connection, bytes)) return false;
    asked.add(worst);
    // What is left then is no request: header blocks that do not end.
    if (!worst.evict(hasRoom, stream) && worst !== connection) worst.abort(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_HELD);
  }
  return true;
}

function fullest(connections: Iterable<Connection>, asked: ReadonlySet<Connection>): Connection | undefined {
  let worst: Connection | undefined;
  for (const connection of connections) {
    if (!asked.has(connection) && (worst === undefined || isFuller(connection, worst))) worst = connection;
  }
  return worst;
}

function isFuller(connection: Connection, other: Connection): boolean {
  const byAddress = connection.incomingOfAddress.used - other.incomingOfAddress.used;
  return byAddress === 0 ? connection.incoming.used > other.incoming.used : byAddress > 0;
}

/** Whether `connection`, or its address, holds less than half of what `worst` does, with `bytes` more. */
function isFarAbove(worst: Connection, connection: Connection, bytes: number): boolean {
  const [most, mine] =
    worst.incomingOfAddress === connection.incomingOfAddress
      ? [worst.incoming, connection.incoming]
      : [worst.incomingOfAddress, connection.incomingOfAddress];
  return (mine.used + bytes) * 2 <= most.used;
}
