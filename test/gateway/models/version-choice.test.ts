import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  defaultVersion,
  type Split,
  stickyKey,
  type TrafficPlan,
  type VersionState,
  versionAt,
  versionFor,
} from '../../../src/gateway/models/version-choice.ts';

function versions(states: Readonly<Record<number, 'READY' | 'LOADING'>>): VersionState[] {
  return Object.entries(states).map(([version, state]) => ({ ref: { version }, state }));
}

function split(shares: Readonly<Record<number, number>>): Split {
  return new Map(Object.entries(shares));
}

function plan(fields: Partial<TrafficPlan> = {}): TrafficPlan {
  return { labels: new Map(), split: new Map(), stickyBy: undefined, shadow: undefined, ...fields };
}

const USERS = Array.from({ length: 20_000 }, (_, index) => stickyKey(`user-${index}`, 7));

/** How the users are spread: by version, the indices of its users. */
function spread(all: readonly VersionState[], shares: Split): Map<string, Set<number>> {
  const found = new Map<string, Set<number>>();
  for (const [user, key] of USERS.entries()) {
    const version = versionFor(all, shares, key)?.ref.version ?? 'none';
    const users = found.get(version) ?? new Set();
    found.set(version, users.add(user));
  }
  return found;
}

/** `from>to` of every move, with how many users made it. */
function moves(before: ReadonlyMap<string, Set<number>>, after: ReadonlyMap<string, Set<number>>): Map<string, number> {
  const found = new Map<string, number>();
  for (const [from, users] of before) {
    for (const [to, now] of after) {
      const count = from === to ? 0 : [...users].filter((user) => now.has(user)).length;
      if (count > 0) found.set(`${from}>${to}`, count);
    }
  }
  return found;
}

const shares = fc.dictionary(
  fc.integer({ min: 1, max: 9 }).map(String),
  fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 1_000, noNaN: true })),
  { minKeys: 1 },
);
const states = fc.dictionary(fc.integer({ min: 1, max: 9 }).map(String), fc.constantFrom('READY', 'LOADING'), {
  minKeys: 1,
});

describe('a version by chance', () => {
  test('is READY, has a share, and gets of all points what its share says', () => {
    fc.assert(
      fc.property(states, shares, (states, shares) => {
        const all = versions(states);
        const eligible = all.filter(({ ref, state }) => state === 'READY' && (shares[ref.version] ?? 0) > 0);
        const total = eligible.reduce((sum, { ref }) => sum + (shares[ref.version] ?? 0), 0);
        const hits = new Map<string | undefined, number>();
        const points = 1_000;
        for (let at = 0; at < points; at++) {
          const version = versionAt(all, split(shares), at / points)?.ref.version;
          hits.set(version, (hits.get(version) ?? 0) + 1);
        }
        if (eligible.length === 0) expect([...hits.keys()]).toEqual([undefined]);
        for (const version of hits.keys()) {
          expect([undefined, ...eligible.map(({ ref }) => ref.version)]).toContain(version);
        }
        for (const { ref } of eligible) {
          const share = ((shares[ref.version] ?? 0) / total) * points;
          expect(Math.abs((hits.get(ref.version) ?? 0) - share)).toBeLessThanOrEqual(1.01);
        }
      }),
    );
  });

  test('leaves the share of versions that are not READY to the others', () => {
    const all = versions({ 1: 'READY', 2: 'LOADING', 3: 'READY' });
    expect(versionAt(all, split({ 1: 1, 2: 98, 3: 1 }), 0.49)?.ref.version).toBe('1');
    expect(versionAt(all, split({ 1: 1, 2: 98, 3: 1 }), 0.51)?.ref.version).toBe('3');
    expect(versionAt(all, split({ 2: 100 }), 0.5)).toBeUndefined();
    expect(versionAt(all, split({ 7: 100 }), 0.5)).toBeUndefined();
  });
});

describe('a version that sticks', () => {
  const three = versions({ 1: 'READY', 2: 'READY', 3: 'READY' });

  test('is always the same for the same value, in whatever unit the shares are', () => {
    fc.assert(
      fc.property(fc.string(), shares, fc.double({ min: 0.001, max: 1_000, noNaN: true }), (value, shares, unit) => {
        const all = versions({ 1: 'READY', 2: 'READY', 3: 'READY', 4: 'READY', 5: 'READY' });
        const scaled = split(Object.fromEntries(Object.entries(shares).map(([key, share]) => [key, share * unit])));
        const chosen = versionFor(all, split(shares), stickyKey(value));
        expect(versionFor(all, split(shares), stickyKey(value))).toBe(chosen);
        expect(versionFor(all, scaled, stickyKey(value))).toBe(chosen);
      }),
    );
  });

  test('gets of many users what its share says', () => {
    for (const [shares, total] of [
      [{ 1: 90, 2: 10 }, 100],
      [{ 1: 1, 2: 1, 3: 1 }, 3],
      [{ 1: 5, 2: 0, 3: 95 }, 100],
    ] as const) {
      const found = spread(three, split(shares));
      for (const [version, share] of Object.entries(shares)) {
        // Five standard deviations.
        const expected = (share / total) * USERS.length;
        const tolerance = 5 * Math.sqrt(expected * (1 - share / total));
        expect(Math.abs((found.get(version)?.size ?? 0) - expected)).toBeLessThanOrEqual(tolerance);
      }
    }
  });

  test('changes for no more users than it has to where two versions change their shares', () => {
    const moved = moves(spread(three, split({ 1: 90, 2: 10 })), spread(three, split({ 1: 80, 2: 20 })));
    expect([...moved.keys()]).toEqual(['1>2']);
    expect(Math.abs((moved.get('1>2') ?? 0) / USERS.length - 0.1)).toBeLessThan(0.01);
  });

  test('changes only towards a version whose share grows, and only away from one whose share shrinks', () => {
    const before = spread(three, split({ 1: 50, 2: 30, 3: 20 }));
    const grown = moves(before, spread(three, split({ 1: 50, 2: 30, 3: 40 })));
    expect([...grown.keys()].sort()).toEqual(['1>3', '2>3']);
    const shrunk = moves(before, spread(three, split({ 1: 20, 2: 30, 3: 20 })));
    expect([...shrunk.keys()].sort()).toEqual(['1>2', '1>3']);
  });

  test('changes only for the users of a version that is no longer READY, who are spread by the other shares', () => {
    const shares = split({ 1: 50, 2: 30, 3: 20 });
    const before = spread(three, shares);
    const after = spread(versions({ 1: 'LOADING', 2: 'READY', 3: 'READY' }), shares);
    const moved = moves(before, after);
    expect([...moved.keys()].sort()).toEqual(['1>2', '1>3']);
    const ofTheirs = (moved.get('1>2') ?? 0) / (before.get('1')?.size ?? 0);
    expect(Math.abs(ofTheirs - 0.6)).toBeLessThan(0.03);
  });
});

describe('the default version', () => {
  const all = versions({ 2: 'READY', 3: 'READY', 4: 'LOADING' });

  test('is the highest that is READY, or, where none is, the highest', () => {
    expect(defaultVersion(all, plan())?.ref.version).toBe('3');
    expect(defaultVersion(versions({ 2: 'LOADING', 4: 'LOADING' }), plan())?.ref.version).toBe('4');
    expect(defaultVersion([], plan())).toBeUndefined();
  });

  test('is with a split the READY one with the largest share; without a READY one in it, the highest that is READY', () => {
    expect(defaultVersion(all, plan({ split: split({ 2: 60, 3: 40 }) }))?.ref.version).toBe('2');
    expect(defaultVersion(all, plan({ split: split({ 2: 50, 3: 50 }) }))?.ref.version).toBe('3');
    expect(defaultVersion(all, plan({ split: split({ 2: 10, 4: 90 }) }))?.ref.version).toBe('2');
    expect(defaultVersion(all, plan({ split: split({ 4: 100 }) }))?.ref.version).toBe('3');
  });

  test('is a mere shadow only where there is nothing else', () => {
    const shadow = (version: string): TrafficPlan => plan({ shadow: { version, share: 1 } });
    expect(defaultVersion(all, shadow('3'))?.ref.version).toBe('2');
    expect(defaultVersion(versions({ 2: 'LOADING', 3: 'READY' }), shadow('3'))?.ref.version).toBe('2');
    expect(defaultVersion(versions({ 3: 'READY' }), shadow('3'))?.ref.version).toBe('3');
    expect(defaultVersion(all, { ...shadow('3'), split: split({ 3: 1 }) })?.ref.version).toBe('3');
  });
});

test('versions that differ beyond the digits of a number share the sticky keys as others do', () => {
  const [low, high] = ['9007199254740992', '9007199254740993'];
  const all: VersionState[] = [low, high].map((version) => ({ ref: { version }, state: 'READY' }));
  const shares: Split = new Map([
    [low, 1],
    [high, 1],
  ]);
  const chosen = USERS.filter((key) => versionFor(all, shares, key)?.ref.version === high);
  expect(chosen.length / USERS.length).toBeGreaterThan(0.45);
  expect(chosen.length / USERS.length).toBeLessThan(0.55);
});
