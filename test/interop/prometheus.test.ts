/** What Prometheus scrapes, read by its own tools: promtool for the text format, the client for Python for OpenMetrics. */

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tensor } from '../../src/client/inference-client.ts';
import { METRICS } from '../../src/gateway/ops/metric-definitions.ts';
import { DOORS } from '../support/caller.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { promtool, pythonWithPrometheusClient } from '../tools/tools.ts';
import { MODELS } from './documented.ts';

const program = promtool();
if (program === undefined) console.warn('SKIPPED: promtool is not installed (test/tools/setup.sh does)');
const python = pythonWithPrometheusClient();
if (python === undefined) console.warn('SKIPPED: prometheus-client is not installed (test/tools/setup.sh does)');

/** Prints the names of the families, and the metrics that have exemplars. */
const READER = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
traced = sorted({family.name for family in families for sample in family.samples if sample.exemplar})
print(json.dumps({"names": [family.name for family in families], "traced": traced}))
`;

let server: TestServer;

beforeAll(async () => {
  // Calls are traced for a collector that is not there.
  server = await startServer(MODELS, {
    flags: ['--log-level', 'silent'],
    env: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:9/v1/traces' },
  });
  for (const door of DOORS) {
    using caller = door.connect(server);
    await caller.infer('cifar10', { image: tensor.uint8(new Uint8Array(3_072), [1, 3, 32, 32]) });
    await expect(caller.infer('missing', {})).rejects.toThrow();
  }
});

afterAll(() => server[Symbol.asyncDispose]());

async function scrape(accept: string): Promise<string> {
  const response = await fetch(`${server.http}/metrics`, { headers: { accept } });
  expect(response.headers.get('content-type')).toContain(accept.split(';', 1)[0]);
  return response.text();
}

test.skipIf(program === undefined)('promtool finds only what comes from conventions of others', async () => {
  const text = await scrape('text/plain');
  const { status, stderr } = spawnSync(program ?? '', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  const complaints = stderr.split('\n').filter((line) => line !== '' && !/^nv_|^target_info |^nodejs_/.test(line));
  expect(complaints).toEqual([]);
  // 3 stands for complaints; 1 for a text that it cannot read.
  expect([0, 3]).toContain(status);
});

describe.skipIf(python === undefined)('the client for Python', () => {
  test('reads every metric in OpenMetrics, with exemplars of the calls that are traced', async () => {
    const text = await scrape('application/openmetrics-text; version=1.0.0');
    const { stdout, stderr } = spawnSync(python ?? '', ['-c', READER], { input: text, encoding: 'utf8' });
    expect(stderr).toBe('');
    const { names, traced } = JSON.parse(stdout) as { names: string[]; traced: string[] };
    const families = Object.keys(METRICS).map((name) => name.replace(/_total$/, ''));
    expect(names).toEqual(expect.arrayContaining(families));
    expect(traced).toEqual([
      'tensorgate_compute_duration_seconds',
      'tensorgate_queue_duration_seconds',
      'tensorgate_request_duration_seconds',
    ]);
  });
});
