import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  completeReplacement,
  planReplacement,
  type ServedVersion,
  type VersionIdentity,
} from '../../../../src/gateway/models/lifecycle/replacement.ts';

const VERSION = fc.constantFrom('1', '2', '3', '4');
const IDENTITY = fc.constantFrom('a', 'b', 'c');
const SERVED = fc.record({
  version: VERSION,
  identity: fc.option(IDENTITY, { nil: undefined }),
  isReady: fc.boolean(),
});
const WANTED = fc.record({ version: VERSION, identity: IDENTITY });

function once<T extends { readonly version: string }>(element: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.uniqueArray(element, { selector: ({ version }) => version });
}

/** A model, a source, what failed before, and which of the loads that follow fail. */
const CASE = fc.record({
  before: once(SERVED),
  wanted: once(WANTED),
  failed: once(WANTED),
  again: fc.boolean(),
  fails: fc.func(fc.boolean()),
});

interface Outcome {
  readonly keep: readonly ServedVersion[];
  readonly load: readonly VersionIdentity[];
  readonly loaded: readonly ServedVersion[];
  readonly serve: readonly ServedVersion[];
  readonly retire: readonly { readonly served: ServedVersion; readonly isReplaced: boolean }[];
}

function replace(
  before: readonly ServedVersion[],
  wanted: readonly VersionIdentity[],
  {
    failed = [],
    again = true,
    fails = () => false,
  }: {
    readonly failed?: readonly VersionIdentity[];
    readonly again?: boolean;
    readonly fails?: (version: string) => boolean;
  } = {},
): Outcome {
  const failures = new Map(failed.map(({ version, identity }) => [version, identity]));
  const { keep, load } = planReplacement(before, wanted, failures, again);
  const loaded = load.filter(({ version }) => !fails(version)).map((each) => ({ ...each, isReady: true }));
  return { keep, load, loaded, ...completeReplacement(before, wanted, keep, loaded, loaded.length < load.length) };
}

const versionsOf = (versions: readonly { readonly version: string }[]): string[] =>
  versions.map(({ version }) => version).sort();

describe('a replacement', () => {
  test('keeps only ready versions that are wanted as they are, and loads each other wanted version once', () => {
    fc.assert(
      fc.property(CASE, ({ before, wanted, ...rest }) => {
        const { keep, load } = replace(before, wanted, { ...rest, again: true });
        for (const served of keep) {
          expect(served.isReady).toBe(true);
          expect(wanted).toContainEqual({ version: served.version, identity: served.identity });
        }
        expect(versionsOf([...keep, ...load])).toEqual(versionsOf(wanted));
      }),
    );
  });

  test('does not load again what failed, unless it is asked to or it has changed', () => {
    fc.assert(
      fc.property(CASE, ({ before, wanted, failed, fails }) => {
        const { load } = replace(before, wanted, { failed, again: false, fails });
        const { load: all } = replace(before, wanted, { failed, again: true, fails });
        const isFailed = (each: VersionIdentity): boolean =>
          failed.some(({ version, identity }) => version === each.version && identity === each.identity);
        expect(load).toEqual(all.filter((each) => !isFailed(each)));
      }),
    );
  });

  test('serves each version once, and retires exactly what served and does no longer', () => {
    fc.assert(
      fc.property(CASE, ({ before, wanted, ...rest }) => {
        const { serve, retire, keep, loaded } = replace(before, wanted, rest);
        expect(new Set(versionsOf(serve)).size).toBe(serve.length);
        expect(serve).toEqual(expect.arrayContaining([...keep, ...loaded]));
        expect(retire.map(({ served }) => served)).toEqual(before.filter((served) => !serve.includes(served)));
        for (const { served, isReplaced } of retire) {
          expect(isReplaced).toBe(serve.some(({ version }) => version === served.version));
        }
      }),
    );
  });

  test('never leaves a model without a ready version because a load failed (LIFE-4)', () => {
    fc.assert(
      fc.property(CASE, ({ before, wanted, ...rest }) => {
        const { serve, load, loaded } = replace(before, wanted, rest);
        fc.pre(load.length > loaded.length && before.some(({ isReady }) => isReady));
        expect(serve.some(({ isReady }) => isReady)).toBe(true);
      }),
    );
  });

  test('serves exactly the wanted versions once all of them load, and then has nothing left to do', () => {
    fc.assert(
      fc.property(once(SERVED), once(WANTED), (before, wanted) => {
        const { serve } = replace(before, wanted);
        const plain = serve.map(({ version, identity }) => ({ version, identity }));
        expect(plain).toHaveLength(wanted.length);
        expect(plain).toEqual(expect.arrayContaining(wanted));
        const second = replace(serve, wanted);
        expect(second.keep).toEqual(serve);
        expect(second.load).toEqual([]);
        expect(second.retire).toEqual([]);
      }),
    );
  });

  test('retires everything where the source has no version', () => {
    fc.assert(
      fc.property(once(SERVED), (before) => {
        expect(replace(before, []).serve).toEqual([]);
      }),
    );
  });
});
