/** Every two components that go together, and every two that do not: the lint refuses those, and says why. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { lint } from '../../deploy/lint/lint.ts';
import { ISTIO, KUBECTL } from './builds.ts';
import { compose, composeLegal, EXCLUSIONS, LEGAL, listFor, NAMES } from './components.ts';

describe.skipIf(KUBECTL === undefined)('components of deploy/istio', () => {
  /** The findings in a build of these, in this order, each with its rule in front. */
  async function judge(list: readonly string[]): Promise<readonly string[]> {
    return lint(await compose(list)).map(({ rule, object, text }) => `${rule}: ${object}: ${text}`);
  }

  test('are all in this test', () => {
    expect(fs.readdirSync(path.join(ISTIO, 'components')).sort()).toEqual(NAMES.toSorted());
  });

  test(`go together in each of ${LEGAL.length} legal pairs`, { timeout: 600_000 }, async () => {
    const refused: unknown[] = [];
    await composeLegal((list, build) => {
      const findings = lint(build);
      if (findings.length > 0) refused.push({ list: list.join(' '), findings });
    });
    expect(refused).toEqual([]);
  });

  test.each(EXCLUSIONS)('%s and %s do not go together: %s', async (one, other, rule) => {
    const findings = await judge(listFor(one, other));
    expect(findings.some((finding) => finding.startsWith(`${rule}: `))).toBe(true);
  });

  const route = 'route-virtualservice';
  test.each([
    ['one-data-plane', ['istio-policy', route, 'istio-sidecar', 'canary']],
    ['weights', ['istio-policy', 'canary', route, 'istio-sidecar']],
    ['policies-scoped', ['istio-policy', route]],
    ['mesh-needed', ['istio-policy', route]],
    ['whole-hosts', ['istio-policy', 'route-httproute', 'istio-ambient']],
    ['waypoint-enrolled', ['istio-policy', 'istio-ambient', 'track-services', 'route-httproute']],
    ['pool-routed', ['istio-policy', route, 'inference-pool', 'istio-sidecar']],
    ['targets-exist', ['istio-policy', route, 'jwt', 'istio-sidecar']],
    ['pod-labels', ['istio-policy', 'flagger', 'istio-sidecar']],
    ['volume-source', ['models-init', 'models-pvc']],
  ])('a missing or misplaced component is found: %s', async (rule, list) => {
    const findings = await judge(list);
    expect(findings.some((finding) => finding.startsWith(`${rule}: `))).toBe(true);
  });
});
