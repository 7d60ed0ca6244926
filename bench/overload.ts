/** Honesty under load: at twice what can be served, how much is still answered in time? */

import fs from 'node:fs';
import path from 'node:path';
import { slowModel, writeModel } from '../test/support/onnx-models.ts';
import { H2Load } from './h2load.ts';
import { Load } from './load.ts';
import { writeCifarCnn } from './models.ts';
import { startGateway, startNeighbour } from './processes.ts';
import { heading, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const DEADLINE_MS = 100;
const MEASURE_MS = 6_000;

/** A run of the flooded model takes about a millisecond, and has one row. */
const FLOOD_ITERATIONS = 16;
const FLOOD_COLUMNS = 64;
const FLOOD = 20;
const FLOOD_S = 4;
const FLOOD_IN_FLIGHT = 4_000;
const WARM_UP_PER_S = 20_000;
const IN_FLIGHT = 64;

const NEUTRAL_MS = 30;
const NEUTRAL_PER_S = 20;
/** About 2 ms. */
const NEUTRAL_ITERATIONS = 40;
/** The time that patient callers have. */
const PATIENT_MS = 20_000;

export async function overload(scratch: string, rounds: number): Promise<void> {
  await twice(scratch, rounds);
  await flood(scratch, rounds);
  await neutrality(scratch, rounds);
}

async function twice(scratch: string, rounds: number): Promise<void> {
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

async function flood(scratch: string, rounds: number): Promise<void> {
  heading(`Answers within ${DEADLINE_MS} ms of 256 B, gateway and runner on one core, at ${FLOOD} times the capacity`);
  const repository = path.join(scratch, 'flood');
  writeModel(repository, 'slow', 1, slowModel(FLOOD_ITERATIONS, FLOOD_COLUMNS));
  const config = { max_batch_size: 1, instance_group: [{ count: 1 }] };
  fs.writeFileSync(path.join(repository, 'slow', 'config.json'), JSON.stringify(config));
  const gateway = await startGateway(repository);
  const data = floats(FLOOD_COLUMNS);
  const load = new H2Load(
    scratch,
    'slow',
    encodedRequest('slow', 'input', 'FP32', { shape: [1, FLOOD_COLUMNS], data }),
  );
  const capacities: number[] = [];
  const inTime: number[] = [];
  await load.closedLoop(gateway.port, IN_FLIGHT, FLOOD_S, data.byteLength);
  const answerBytes = await load.answerBytes(gateway.port);
  // Refusals are compiled, as the answers are by now.
  const warmUp = { inFlight: FLOOD_IN_FLIGHT, seconds: FLOOD_S, timeoutMs: DEADLINE_MS, answerBytes };
  await load.flood(gateway.port, { ...warmUp, ratePerS: WARM_UP_PER_S });
  for (let round = 0; round < rounds; round++) {
    const capacity = (await load.closedLoop(gateway.port, IN_FLIGHT, FLOOD_S, data.byteLength)) / FLOOD_S;
    const terms = { inFlight: FLOOD_IN_FLIGHT, seconds: FLOOD_S, timeoutMs: DEADLINE_MS, answerBytes };
    const { done, answered } = await load.flood(gateway.port, { ...terms, ratePerS: FLOOD * capacity });
    capacities.push(capacity);
    inTime.push(answered / FLOOD_S);
    const offered = done / FLOOD_S / capacity;
    console.log(
      `  capacity ${capacity.toFixed(0)}/s; offered ${offered.toFixed(1)} times that; in time ${(answered / FLOOD_S).toFixed(0)}/s`,
    );
  }
  console.log(`in time / capacity: ${spread(ratios(inTime, capacities), 2)}  (goal: at least 0.85)`);
  await gateway.stop();
}

/** A version that idles most of the time, beside another process that takes half of its core. */
async function neutrality(scratch: string, rounds: number): Promise<void> {
  heading(
    `Answers within ${NEUTRAL_MS} ms at ${NEUTRAL_PER_S}/s of a model of 2 ms beside a busy neighbour, with and without a deadline`,
  );
  const repository = path.join(scratch, 'neutral');
  writeModel(repository, 'small', 1, slowModel(NEUTRAL_ITERATIONS));
  const gateway = await startGateway(repository);
  const neighbour = startNeighbour();
  const data = floats(1);
  using load = new Load(gateway.port, encodedRequest('small', 'input', 'FP32', { shape: [1, 1], data }));
  const shares = { without: [] as number[], with: [] as number[] };
  await load.openLoop(NEUTRAL_PER_S, 1_000, PATIENT_MS);
  for (let round = 0; round < rounds; round++) {
    for (const whose of round % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)) {
      const { sent, answeredMs } = await load.openLoop(
        NEUTRAL_PER_S,
        MEASURE_MS,
        whose === 'with' ? NEUTRAL_MS : PATIENT_MS,
      );
      shares[whose].push(answeredMs.filter((ms) => ms <= NEUTRAL_MS).length / sent);
    }
  }
  const percent = (values: readonly number[]): string =>
    spread(
      values.map((value) => 100 * value),
      1,
    );
  const lost = shares.without.map((value, round) => 100 * (value - (shares.with[round] ?? 0)));
  console.log(`in time without a deadline ${percent(shares.without)} %  with it ${percent(shares.with)} %`);
  console.log(`lost by naming it: ${spread(lost, 1)} points  (goal: at most 2)`);
  neighbour.kill();
  await gateway.stop();
}
