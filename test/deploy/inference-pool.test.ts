/** What the endpoint picker of the Gateway API Inference Extension reads from a pod. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { startServer } from '../support/server.ts';
import { ISTIO } from './builds.ts';

const MODELS = path.join(import.meta.dirname, '../../models');

interface PickerConfig {
  readonly plugins: readonly {
    readonly type: string;
    readonly parameters?: { readonly engineConfigs?: readonly Readonly<Record<string, string>>[] };
  }[];
}

test('each metric that the picker is configured with is a gauge that a server exports', async () => {
  const file = path.join(ISTIO, 'components/inference-pool/config.yaml');
  const { plugins }: PickerConfig = parse(fs.readFileSync(file, 'utf8'));
  const [engine] = plugins.flatMap(({ parameters }) => parameters?.engineConfigs ?? []);
  const { name: _, ...metrics } = engine ?? {};
  expect(Object.keys(metrics).sort()).toEqual(['queuedRequestsSpec', 'runningRequestsSpec']);
  await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
  const text = await (await fetch(`${server.http}/metrics`)).text();
  for (const metric of Object.values(metrics)) {
    expect(text).toContain(`# TYPE ${metric} gauge\n`);
    expect(text).toMatch(new RegExp(`^${metric}(\\{[^}]*\\})? 0$`, 'm'));
  }
});
