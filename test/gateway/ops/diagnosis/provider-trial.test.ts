import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  PROBE_MODEL,
  reasonIn,
  type TrialOptions,
  tryProvider,
} from '../../../../src/gateway/ops/diagnosis/provider-trial.ts';
import { identityModel } from '../../../support/onnx-models.ts';
import { PATIENCE_MS } from '../../../support/runners.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

function trialOptions(mailboxDirectory = temporaryDirectory()): TrialOptions {
  return { env: process.env, mailboxDirectory, loadLimitMs: PATIENCE_MS };
}

test('the probe is a model of one Identity node', () => {
  expect(PROBE_MODEL).toEqual(Buffer.from(identityModel('FP32', [1])));
});

test('the CPU accepts it, and nothing is left behind', async () => {
  const options = trialOptions();
  expect(await tryProvider('cpu', options)).toEqual({ kind: 'accepted' });
  expect(fs.readdirSync(options.mailboxDirectory)).toEqual([]);
});

test('a directory that cannot be written to is the reason of a refusal', async () => {
  const directory = path.join(temporaryDirectory(), 'nosuch');
  const trial = await tryProvider('cpu', trialOptions(directory));
  expect(trial).toEqual({ kind: 'refused', reason: expect.stringContaining(directory) });
});

test('a runner that gives no answer in time is the reason of a refusal', async () => {
  const trial = await tryProvider('cpu', { ...trialOptions(), loadLimitMs: 1 });
  expect(trial).toEqual({ kind: 'refused', reason: expect.stringContaining('no answer within 1 ms') });
});

const hasGpu = fs.existsSync('/proc/driver/nvidia/version');
if (hasGpu) console.warn('SKIPPED: this machine has a GPU, so that its absence cannot be tested');

describe.skipIf(hasGpu)('without a GPU', () => {
  test.each(['cuda', 'tensorrt'] as const)(
    'the reason of ONNX Runtime against %s names a library',
    async (provider) => {
      const options = trialOptions();
      const trial = await tryProvider(provider, options);
      expect(trial).toEqual({
        kind: 'refused',
        reason: expect.stringMatching(/^Failed to load library .*\.so.*: cannot open/),
      });
      expect(fs.readdirSync(options.mailboxDirectory)).toEqual([]);
    },
  );
});

test.each([
  [
    '2026-11-24 02:12:52.0 [E:onnxruntime:onnxruntime-node, provider_bridge_ort.cc:2146 Create] /src/a.cc:1988 onnxruntime::Provider& Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /a/b.so with error: libcudart.so.12: cannot open',
    'Failed to load library /a/b.so with error: libcudart.so.12: cannot open',
  ],
  ['2026-11-24 02:12:52.0 [E:onnxruntime:, cuda_call.cc:1 CudaCall] no CUDA-capable device', 'no CUDA-capable device'],
  ['2026-11-24 02:12:52.0 [W:onnxruntime:, graph.cc:1 Check] an initializer is not used', undefined],
  ['(node:1) Warning: something else', undefined],
])('the line %j has the reason %j', (line, reason) => {
  expect(reasonIn(line)).toBe(reason);
});
