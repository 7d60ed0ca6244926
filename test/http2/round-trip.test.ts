/** When a connection measures the way back of its answers by PING, and what peers can make of it. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Method, UnaryCall } from '../../src/gateway/accept/call.ts';
import { MemoryConnection } from './memory-connection.ts';
import { ACK, type Frame, frame, HELLO, Type, unaryRequest } from './raw-frames.ts';

const calls: UnaryCall[] = [];
const KEPT: Method = { kind: 'unary', handle: (call) => calls.push(call) };
const ANSWERED: Method = { kind: 'unary', handle: (call) => call.reply([]) };

beforeEach(() => {
  calls.length = 0;
  vi.useFakeTimers();
});

afterEach(() => vi.useRealTimers());

function connect(): MemoryConnection {
  const memory = new MemoryConnection({ '/t/Kept': KEPT, '/t/Answered': ANSWERED });
  memory.push(HELLO);
  return memory;
}

function pings(memory: MemoryConnection): Frame[] {
  return memory.frames.filter(({ type, flags }) => type === Type.PING && (flags & ACK) === 0);
}

/** The peer answers the last PING after `ms`. */
function pong(memory: MemoryConnection, ms: number): void {
  vi.advanceTimersByTime(ms);
  memory.push(frame(Type.PING, ACK, 0, pings(memory).at(-1)?.payload ?? Buffer.alloc(8)));
}

describe('a PING that measures the way back', () => {
  test('follows the first answer, and then once a second while there are calls', () => {
    const memory = connect();
    expect(pings(memory)).toHaveLength(0);
    for (let id = 1; id < 20; id += 2) memory.push(unaryRequest(id, '/t/Answered'));
    expect(pings(memory)).toHaveLength(1);
    pong(memory, 1);
    for (let id = 21; id < 40; id += 2) memory.push(unaryRequest(id, '/t/Answered'));
    expect(pings(memory)).toHaveLength(1);
    memory.passSecond();
    expect(pings(memory)).toHaveLength(2);
    pong(memory, 1);
    for (let second = 0; second < 5; second++) memory.passSecond();
    expect(pings(memory)).toHaveLength(2);
  });

  test('is what a call says of its way back, and not what a stalled peer once took', () => {
    const memory = connect();
    memory.push(unaryRequest(1, '/t/Kept'));
    expect(calls[0]?.wayBackMs).toBe(1);
    memory.push(unaryRequest(3, '/t/Answered'));
    for (const [round, ms] of [700, 30, 31, 32].entries()) {
      pong(memory, ms);
      memory.push(unaryRequest(5 + 2 * round, '/t/Answered'));
      memory.passSecond();
    }
    expect(calls[0]?.wayBackMs).toBe(31);
  });

  test('is not repeated for a peer that does not answer it, which keeps the guess and its connection', () => {
    const memory = connect();
    memory.push(unaryRequest(1, '/t/Kept'));
    for (let second = 0; second < 100; second++) {
      memory.push(unaryRequest(3 + 2 * second, '/t/Answered'));
      memory.passSecond();
    }
    expect(pings(memory)).toHaveLength(1);
    expect(calls[0]?.wayBackMs).toBe(1);
    expect(memory.isClosed).toBe(false);
    expect(memory.statuses.size).toBe(100);
  });

  test('is not taken for the answer to the GOAWAY of a drain', () => {
    const memory = connect();
    memory.push(unaryRequest(1, '/t/Kept'));
    memory.push(unaryRequest(3, '/t/Answered'));
    const [probe] = pings(memory);
    memory.connection.drain();
    memory.connection.flush();
    memory.push(frame(Type.PING, ACK, 0, probe?.payload ?? Buffer.alloc(8)));
    memory.push(unaryRequest(5, '/t/Kept'));
    expect(calls).toHaveLength(2);
    expect(memory.frames.filter(({ type }) => type === Type.GOAWAY)).toHaveLength(1);
    pong(memory, 1);
    memory.connection.flush();
    expect(memory.frames.filter(({ type }) => type === Type.GOAWAY)).toHaveLength(2);
  });
});
