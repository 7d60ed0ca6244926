import { expect, test } from 'vitest';
import { dutyOf, type Vitals } from '../../src/http2/upkeep.ts';

const LIMITS = { handshakeMs: 10, stallMs: 60, keepaliveMs: 50, keepaliveTimeoutMs: 20, ageGraceMs: 100 };
const HEALTHY: Vitals = {
  openedAt: 0,
  maxAgeMs: 1_000,
  receivedAt: 500,
  hasSettings: true,
  unfinishedSince: undefined,
  pingedAt: undefined,
  blockedAt: undefined,
  retiredAt: undefined,
};

test.each<[what: string, vitals: Partial<Vitals>, now: number, duty: string]>([
  ['is healthy', {}, 500, 'nothing'],
  ['has not spoken for a while', {}, 551, 'ping'],
  ['was asked a moment ago', { pingedAt: 551 }, 560, 'nothing'],
  ['did not answer', { pingedAt: 551 }, 572, 'silent'],
  ['spoke, though it did not answer', { pingedAt: 551, receivedAt: 560 }, 572, 'nothing'],
  ['has not sent its SETTINGS yet', { hasSettings: false }, 10, 'nothing'],
  ['never sends its SETTINGS', { hasSettings: false }, 11, 'refuse'],
  ['is in the middle of a header block', { unfinishedSince: 500 }, 510, 'nothing'],
  ['is in the middle of a header block for too long', { unfinishedSince: 500, receivedAt: 511 }, 511, 'interrupt'],
  ['takes nothing', { blockedAt: 500 }, 530, 'nothing'],
  ['takes nothing for too long, though it sends', { blockedAt: 500, receivedAt: 561 }, 561, 'stalled'],
  ['is old', { receivedAt: 1_001 }, 1_001, 'retire'],
  ['is old and got its GOAWAY', { receivedAt: 1_001, retiredAt: 1_001 }, 1_050, 'nothing'],
  ['does not go', { receivedAt: 1_100, retiredAt: 1_001 }, 1_102, 'abandon'],
  ['does not go at all', { receivedAt: 1_120, retiredAt: 1_001 }, 1_122, 'overdue'],
])('a connection that %s', (_, vitals, now, duty) => {
  expect(dutyOf({ ...HEALTHY, ...vitals }, LIMITS, now)).toBe(duty);
});
