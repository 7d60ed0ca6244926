import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { LoadProgress } from '../../../src/gateway/models/load-progress.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { writeLargeModel } from '../../support/large-model.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

test('a load that takes long is reported with its size, its memory and its limit', async () => {
  const repository = temporaryDirectory();
  writeLargeModel(repository, 'm', 64 * 2 ** 20);
  const reported = new EventTarget();
  const texts: string[] = [];
  onTestFinished(
    diagnostics.notice.subscribe(({ text }) => {
      texts.push(text);
      reported.dispatchEvent(new Event('text'));
    }),
  );
  const first = once(reported, 'text');
  const load = {
    model: { name: 'm', version: '1' },
    modelPath: `${repository}/m/1/model.onnx`,
    pid: () => process.pid,
    limitMs: 120_000,
  };
  {
    using _progress = new LoadProgress(load, 1);
    await first;
  }
  expect(texts[0]).toMatch(
    /^model 'm' version 1 has been loading for 0 s: its files have 64 MiB, its process holds \d+ MiB; each instance may take 120 s \(--runner-start-timeout-ms\)$/,
  );
});
