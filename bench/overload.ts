/** Honesty under load: at twice what can be served, how much is still answered in time? */

import path from 'node:path';
import { Load } from './load.ts';
import { writeCifarCnn } from './models.ts';
import { startGateway } from './processes.ts';
import { heading, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const DEADLINE_MS = 100;
const MEASURE_MS = 6_000;

export async function overload(scratch: string, rounds: number): Promise<void> {
  heading(`Answers within ${DEADLINE_MS} ms, Poisson arrivals (CNN, FP32 input), at once and twice the capacity`);
  const repository = path.join(scratch, 'overload');
  writeCifarCnn(repository, 'cnn-float');
  const gateway = await startGateway(repository);
  using load = new Load(
    gateway.port,
    encodedRequest('cnn-float', 'image', 'FP32', { shape: [1, 3, 32, 32], data: floats(3_072) }),
  );
  await load.closedLoop(64, 2_000);
  const capacity = (await load.closedLoop(64, MEASURE_MS)) / (MEASURE_MS / 1_000);
  console.log(`capacity, closed loop of 64: ${capacity.toFixed(0)}/s`);
  const once: number[] = [];
  const twice: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const factor of round % 2 === 0 ? [1, 2] : [2, 1]) {
      const result = await load.openLoop(capacity * factor, MEASURE_MS, DEADLINE_MS);
      const perS = result.inTime / (MEASURE_MS / 1_000);
      (factor === 1 ? once : twice).push(perS);
      console.log(
        `  ${factor}x: in time ${perS.toFixed(0)}/s of ${result.sent} sent; refused ${result.refused}, late ${result.late}, failed ${result.failed}; sent over 5 ms late ${((100 * result.sentLate) / result.sent).toFixed(1)} %`,
      );
    }
  }
  console.log(`in time at 2x / at 1x: ${spread(ratios(twice, once), 2)}  (goal: at least 0.80)`);
  await gateway.stop();
}
