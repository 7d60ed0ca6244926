import fs from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { diagnostics } from '../../src/gateway/ops/diagnostics.ts';
import { Mailbox } from '../../src/worker/mailbox.ts';
import type { ModelSpec, SessionInfo } from '../../src/worker/protocol.ts';
import { float8Model } from '../support/exported-models.ts';
import { mlpModel } from '../support/onnx-models.ts';
import { modelFile, PATIENCE_MS, sessionSpec, startRunner } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** Opens a model in a runner, whose standard error is its own: ONNX Runtime writes there what a provider lacks. */
async function open(fields: Partial<ModelSpec> = {}, model: Uint8Array = mlpModel()): Promise<SessionInfo> {
  const box = Mailbox.create(temporaryDirectory());
  onTestFinished(() => box.close());
  return startRunner().load(1, box.path, sessionSpec(modelFile(model), fields), PATIENCE_MS);
}

test('the CPU takes a model, without a refusal', async () => {
  expect(await open()).toMatchObject({ provider: 'cpu', refusals: [] });
});

test('a model that the CPU refuses is refused with the words of ONNX Runtime', async () => {
  await expect(open({}, Buffer.from('no model'))).rejects.toThrow('Protobuf parsing failed');
});

test('a model of an element type that the binding cannot open is refused with its name', async () => {
  await expect(open({}, float8Model())).rejects.toThrow("output 'y' is a tensor of FLOAT8E4M3FN");
});

const hasGpu = fs.existsSync('/proc/driver/nvidia/version');
if (hasGpu) console.warn('SKIPPED: this machine has a GPU, so that its absence cannot be tested');

describe.skipIf(hasGpu)('without a GPU', () => {
  test('the next provider is used, and the refusal of the first is reported', async () => {
    const { provider, refusals } = await open({ providers: ['tensorrt', 'cuda', 'cpu'] });
    expect(provider).toBe('cpu');
    expect(refusals.map((refusal) => refusal.provider)).toEqual(['tensorrt', 'cuda']);
    for (const { reason } of refusals) expect(reason).not.toBe('');
  });

  test('strictly, no other is used', async () => {
    await expect(open({ providers: ['cuda', 'cpu'], strictProviders: true })).rejects.toThrow(
      /^no execution provider accepts the model \(strict_execution_providers forbids another\): cuda: ./,
    );
  });

  test('and without the CPU in the list, none accepts the model', async () => {
    await expect(open({ providers: ['tensorrt', 'cuda'] })).rejects.toThrow(
      /^no execution provider accepts the model: tensorrt: .*; cuda: /s,
    );
  });

  test('what ONNX Runtime writes to standard error becomes a notice of that runner', async () => {
    const notices: string[] = [];
    onTestFinished(diagnostics.notice.subscribe(({ text }) => notices.push(text)));
    await open({ providers: ['cuda', 'cpu'] });
    expect(notices.some((text) => text.startsWith('runner test: ') && text.includes('onnxruntime'))).toBe(true);
  });
});
