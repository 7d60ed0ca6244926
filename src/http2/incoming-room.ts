/** Who gives way when the requests of all connections together hold as much as they may. */

import { type ByteBudget, Claim } from './byte-budget.ts';
import type { Connection } from './connection.ts';
import { ErrorCode } from './error-code.ts';
import type { RoomNeed } from './request-room.ts';

/** So many connections are asked for one small call, from the fullest on. */
const MAX_ASKED = 8;
const TOO_MUCH_HELD = 'others need the room that requests on this connection hold';

/**
 * Ends requests on the largest connection of the address that holds most. A large message only displaces peers that hold twice
 * as much, so that two honest uploads do not end each other's requests endlessly; a small call always finds room.
 * @param connection that needs the room
 * @returns whether there is room in `incoming` now
 */
export function makeRoomForRequest(
  incoming: ByteBudget,
  connections: Iterable<Connection>,
  connection: Connection,
  { stream, bytes, claim }: RoomNeed,
): boolean {
  const hasRoom = (): boolean => incoming.has(bytes, claim);
  const asked = new Set<Connection>();
  while (!hasRoom()) {
    const worst = fullest(connections, asked);
    if (worst === undefined || asked.size === MAX_ASKED) return false;
    if (claim !== Claim.SMALL && !isFarAbove(worst, connection, bytes)) return false;
    asked.add(worst);
    // The rest is no request: unfinished header blocks.
    if (!worst.room.evict(hasRoom, stream) && worst !== connection)
      worst.abort(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_HELD);
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
  const byAddress = connection.room.ofAddress.used - other.room.ofAddress.used;
  return byAddress === 0 ? connection.room.used > other.room.used : byAddress > 0;
}

/** Whether `connection`, or its address, holds less than half of what `worst` does, with `bytes` more. */
function isFarAbove(worst: Connection, connection: Connection, bytes: number): boolean {
  const [most, mine] =
    worst.room.ofAddress === connection.room.ofAddress
      ? [worst.room, connection.room]
      : [worst.room.ofAddress, connection.room.ofAddress];
  return (mine.used + bytes) * 2 <= most.used;
}
