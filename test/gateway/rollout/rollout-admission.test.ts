import { expect, test } from 'vitest';
import { Traffic, trafficOf } from '../../../src/gateway/models/traffic.ts';
import { MODEL_CONFIG } from '../../../src/gateway/repository/config/model-config.ts';
import { type Answering, obstacle } from '../../../src/gateway/rollout/rollout-admission.ts';

function problemOf({
  config = {},
  onDemand = false,
  to = '2',
  ...answering
}: {
  readonly config?: object;
  readonly onDemand?: boolean;
  readonly to?: string;
} & Partial<Pick<Answering, 'platform' | 'state' | 'detail'>>): string | undefined {
  const parsed = MODEL_CONFIG.parse(config);
  const version: Answering = {
    ref: { name: 'm', version: '1' },
    config: parsed,
    platform: 'onnxruntime_onnx',
    state: 'READY',
    detail: '',
    ...answering,
  };
  return obstacle(version, to, { traffic: new Traffic('m', trafficOf(parsed.tensorgate)), onDemand });
}

test('a ready model whose requests one version answers can be rolled out', () => {
  expect(problemOf({})).toBeUndefined();
  expect(problemOf({ config: { tensorgate: { traffic: { split: { 1: 100, 2: 0 } } } } })).toBeUndefined();
  expect(problemOf({ config: { tensorgate: { pinned: true } }, onDemand: true })).toBeUndefined();
  expect(problemOf({ config: { tensorgate: { traffic: { shadow: { version: 2 } } } } })).toBeUndefined();
});

test.each([
  ['is an ensemble', { platform: 'ensemble' }, 'roll out the models of its steps'],
  ['has sequences', { config: { sequence_batching: {} } }, 'sequence_batching'],
  ['may be evicted', { onDemand: true }, 'tensorgate.pinned'],
  ['is split', { config: { tensorgate: { traffic: { split: { 1: 50, 3: 50 } } } } }, 'versions 1, 3'],
  [
    'has another shadow',
    { config: { tensorgate: { traffic: { shadow: { version: 3 } } } } },
    'version 3 as the shadow',
  ],
  ['is not ready', { state: 'UNAVAILABLE', detail: 'no such file' }, 'UNAVAILABLE: no such file'],
  ['answers with that version', { to: '1' }, 'answers already'],
] as const)('a model that %s cannot be rolled out, and the reason says so', (_, given, reason) => {
  expect(problemOf(given)).toContain(reason);
});
