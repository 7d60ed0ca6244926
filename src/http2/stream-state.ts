/** The states of a stream, as a server sees them that pushes nothing (RFC 9113, section 5.1), and what may come in each. */

export const StreamState = {
  IDLE: 0,
  OPEN: 1,
  /** The answer is complete, the request is not. */
  HALF_CLOSED_LOCAL: 2,
  /** The request is complete, the answer is not. */
  HALF_CLOSED_REMOTE: 3,
  /** Both are, or the peer reset it. */
  CLOSED: 4,
  /** We reset it while the peer could still send: frames in flight are ignored. */
  RESET: 5,
} as const;

export type StreamState = (typeof StreamState)[keyof typeof StreamState];

export const Reception = {
  TAKE: 0,
  IGNORE: 1,
  /** The stream ends with STREAM_CLOSED. */
  STREAM_CLOSED: 2,
  /** The connection ends with STREAM_CLOSED. */
  CONNECTION_CLOSED: 3,
  /** The connection ends with PROTOCOL_ERROR. */
  VIOLATION: 4,
} as const;

export type Reception = (typeof Reception)[keyof typeof Reception];

/** The frames for which the state matters; PRIORITY may come in any. */
export type StatefulFrame = 'DATA' | 'HEADERS' | 'RST_STREAM' | 'WINDOW_UPDATE';

const { TAKE, IGNORE, STREAM_CLOSED, CONNECTION_CLOSED, VIOLATION } = Reception;

/** By state: IDLE, OPEN, HALF_CLOSED_LOCAL, HALF_CLOSED_REMOTE, CLOSED, RESET. */
const RECEPTION: Readonly<Record<StatefulFrame, readonly Reception[]>> = {
  DATA: [VIOLATION, TAKE, TAKE, STREAM_CLOSED, STREAM_CLOSED, IGNORE],
  // In IDLE it opens the stream; later it is the trailers.
  HEADERS: [TAKE, TAKE, TAKE, STREAM_CLOSED, CONNECTION_CLOSED, IGNORE],
  RST_STREAM: [VIOLATION, TAKE, TAKE, TAKE, IGNORE, IGNORE],
  WINDOW_UPDATE: [VIOLATION, TAKE, IGNORE, TAKE, IGNORE, IGNORE],
};

export function reception(frame: StatefulFrame, state: StreamState): Reception {
  return RECEPTION[frame][state] ?? VIOLATION;
}

/** The state after the peer's END_STREAM. */
export function afterRequest(state: StreamState): StreamState {
  return state === StreamState.OPEN ? StreamState.HALF_CLOSED_REMOTE : StreamState.CLOSED;
}

export function afterAnswer(state: StreamState): StreamState {
  return state === StreamState.OPEN ? StreamState.HALF_CLOSED_LOCAL : StreamState.CLOSED;
}
