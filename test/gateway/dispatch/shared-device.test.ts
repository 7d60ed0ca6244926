/** Versions on one core, with real runners: what becomes of one is no other's concern. */

import { expect, test } from 'vitest';
import { NO_TERMS } from '../../../src/gateway/admit/request-terms.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { startLifecycle } from '../../support/lifecycle-fixture.ts';
import { additionModel, loopModel } from '../../support/onnx-models.ts';
import { ENDLESS, loopRow } from '../../support/runners.ts';

test('a version answers while its neighbour runs without end, when that was killed, and when that leaves', async () => {
  const { ask, models, lifecycle } = await startLifecycle({ added: additionModel(1), endless: loopModel() });
  const endless = models.find('endless', '');
  const call = new FakeCall();
  const answer = endless.ready.batcher.enqueue(loopRow(ENDLESS), call, NO_TERMS).catch(() => {});
  expect((await ask('added', 1)).value).toBe(2);
  expect((await ask('added', 2)).value).toBe(3);
  const { pid } = endless;
  if (pid === undefined) throw new Error('it has no runner');
  process.kill(pid, 'SIGKILL');
  expect((await ask('added', 3)).value).toBe(4);
  // The request is replayed in the next runner.
  await expect.poll(() => ![undefined, pid].includes(endless.pid), { timeout: 20_000 }).toBe(true);
  expect((await ask('added', 4)).value).toBe(5);
  call.cancel();
  lifecycle.unload('endless', { dependents: false });
  expect((await ask('added', 5)).value).toBe(6);
  await answer;
});
