import { describe, expect, test } from 'vitest';
import {
  afterAnswer,
  afterRequest,
  Reception,
  reception,
  type StatefulFrame,
  StreamState,
} from '../../src/http2/stream-state.ts';

const FRAMES: readonly StatefulFrame[] = ['DATA', 'HEADERS', 'RST_STREAM', 'WINDOW_UPDATE'];

describe('RFC 9113, section 5.1', () => {
  test('an idle stream takes only HEADERS; anything else ends the connection', () => {
    const received = FRAMES.map((frame) => reception(frame, StreamState.IDLE));
    const { TAKE, VIOLATION } = Reception;
    expect(received).toEqual([VIOLATION, TAKE, VIOLATION, VIOLATION]);
  });

  test('an open stream takes everything', () => {
    expect(FRAMES.map((frame) => reception(frame, StreamState.OPEN))).toEqual(Array(4).fill(Reception.TAKE));
  });

  test('behind END_STREAM neither DATA nor HEADERS may come, but the answer can be steered and stopped', () => {
    const received = FRAMES.map((frame) => reception(frame, StreamState.HALF_CLOSED_REMOTE));
    const { TAKE, STREAM_CLOSED } = Reception;
    expect(received).toEqual([STREAM_CLOSED, STREAM_CLOSED, TAKE, TAKE]);
  });

  test('everything is ignored on a stream that we reset', () => {
    expect(FRAMES.map((frame) => reception(frame, StreamState.RESET))).toEqual(Array(4).fill(Reception.IGNORE));
  });

  test('on a closed stream only frames that may have crossed its end are ignored', () => {
    const received = FRAMES.map((frame) => reception(frame, StreamState.CLOSED));
    const { STREAM_CLOSED, CONNECTION_CLOSED, IGNORE } = Reception;
    expect(received).toEqual([STREAM_CLOSED, CONNECTION_CLOSED, IGNORE, IGNORE]);
  });

  test('a stream is closed when both sides have ended, in either order', () => {
    expect(afterAnswer(afterRequest(StreamState.OPEN))).toBe(StreamState.CLOSED);
    expect(afterRequest(afterAnswer(StreamState.OPEN))).toBe(StreamState.CLOSED);
    expect(afterRequest(StreamState.OPEN)).toBe(StreamState.HALF_CLOSED_REMOTE);
    expect(afterAnswer(StreamState.OPEN)).toBe(StreamState.HALF_CLOSED_LOCAL);
  });
});
