/** What Prometheus is asked by deploy/istio, against what a real gateway exports. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { askedOf, queriesOf } from '../../deploy/lint/rules/queries.ts';
import { parsePrometheusText } from '../gateway/ops/prometheus-text.ts';
import { offsetModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { ISTIO, KUBECTL, OVERLAYS, overlay } from './builds.ts';

/** Labels that series have from Prometheus, and not from the gateway. */
const OF_THE_SCRAPE = ['namespace', 'app', 'track', 'rollouts_pod_template_hash'];

describe.skipIf(KUBECTL === undefined)('queries of deploy/istio', () => {
  const fixture = useServer({
    m: {
      versions: { 1: offsetModel(1), 2: offsetModel(2) },
      config: {
        instance_group: [{ count: 1 }],
        tensorgate: { labels: { stable: 1 }, traffic: { split: { 1: 100 }, shadow: { version: 2, share: 1 } } },
      },
    },
  });

  async function series(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const response = await fetch(`${fixture.server.http}/metrics`);
    const found = new Map<string, Set<string>>();
    for (const { samples } of parsePrometheusText(await response.text()).values()) {
      for (const { name, labels } of samples) {
        const known = found.get(name) ?? new Set();
        found.set(name, new Set([...known, ...Object.keys(labels)]));
      }
    }
    return found;
  }

  test('ask for series and labels that it exports', async () => {
    const request = {
      model_name: 'm',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 3], contents: { fp32_contents: [1, 2, 3] } }],
    };
    await fixture.client.call('ModelInfer', request);
    // The copy of the shadow runs after the answer.
    await vi.waitFor(
      async () => expect([...(await series()).keys()]).toContain('tensorgate_shadow_rows_total'),
      20_000,
    );
    const exported = await series();
    const adapter = fs.readFileSync(path.join(ISTIO, 'components/hpa/prometheus-adapter.yaml'), 'utf8');
    // The rule of prometheus-adapter is no object, and its braces have a placeholder for matchers.
    const adapted = askedOf(adapter).filter(({ metric }) => metric !== 'tensorgate_queue_seconds');
    const asked = OVERLAYS.flatMap((name) => queriesOf(overlay(name))).flatMap(({ text }) => askedOf(text));
    expect(adapted.length).toBeGreaterThan(3);
    const names = new Set([...asked, ...adapted].map(({ metric }) => metric));
    expect(names.size).toBeGreaterThan(10);
    // The versions of a rollout are known when there is one.
    expect([...names].filter((name) => !exported.has(name))).toEqual(['tensorgate_rollout_changes_total']);
    const strange = asked.flatMap(({ metric, matchers }) =>
      matchers
        .filter(
          ({ label }) => exported.has(metric) && !exported.get(metric)?.has(label) && !OF_THE_SCRAPE.includes(label),
        )
        .map(({ label }) => `${metric}{${label}}`),
    );
    expect(strange).toEqual([]);
  });
});
