import { describe, expect, test } from 'vitest';
import { acceptorCount, shareOfAcceptor } from '../../src/gateway/transport.ts';
import { DEFAULT_LIMITS } from '../../src/http2/limits.ts';

const MIB = 2 ** 20;

describe('the number of acceptors', () => {
  test.each([
    [1, 1],
    [2.5, 1],
    [7, 1],
    [8, 2],
    [16, 4],
    [64, 4],
    [256, 4],
  ])('auto on %d cores is %i, which leaves most cores to runners', (cores, count) => {
    expect(acceptorCount('auto', cores)).toBe(count);
  });

  test('that is given is used, however few cores there are', () => {
    expect([acceptorCount(1, 64), acceptorCount(5, 2)]).toEqual([1, 5]);
  });
});

describe('the share of an acceptor', () => {
  const limits = { ...DEFAULT_LIMITS, maxIncomingBytesInAll: 1024 * MIB, maxUnreadBytesInAll: 512 * MIB };

  test('divides the limits of all connections together, and leaves the limits of one connection', () => {
    expect(shareOfAcceptor(limits, 4, { maxMessageBytes: MIB, maxOutputBytes: undefined })).toEqual({
      ...limits,
      maxIncomingBytesInAll: 256 * MIB,
      maxIncomingBytes: 256 * MIB,
      maxUnreadBytesInAll: 128 * MIB,
      maxUnreadBytes: 128 * MIB,
    });
  });

  test('has room for the longest message and the largest answer, and never more than there is for all', () => {
    const messages = { maxMessageBytes: 512 * MIB, maxOutputBytes: 200 * MIB };
    expect(shareOfAcceptor(limits, 8, messages)).toMatchObject({
      maxIncomingBytesInAll: 768 * MIB,
      maxUnreadBytesInAll: 200 * MIB,
    });
    expect(shareOfAcceptor(limits, 8, { maxMessageBytes: 1024 * MIB, maxOutputBytes: MIB })).toMatchObject({
      maxIncomingBytesInAll: 1024 * MIB,
      maxUnreadBytesInAll: 64 * MIB,
    });
  });
});
