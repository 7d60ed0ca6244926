/** What a refusal costs the gateway, beside an identity call of the same size in the same run. */

import fs from 'node:fs';
import path from 'node:path';
import { slowModel, writeModel } from '../test/support/onnx-models.ts';
import { H2Load } from './h2load.ts';
import { Load } from './load.ts';
import { writeIdentity } from './models.ts';
import { startGateway } from './processes.ts';
import { heading, inTurns, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const IN_FLIGHT = 64;
const WARM_UP_S = 5;
const MEASURE_S = 3;
/** The busy model takes about 300 ms a run of one row. */
const ITERATIONS = 6_000;
/** Calls that keep the busy model busy, and who wait for it: some seconds of work. */
const WAITING = 16;
/** Far less than waits. */
const TIMEOUT_MS = 400;

const SIZES = [
  { name: '256 B', columns: 64 },
  { name: '12 KB', columns: 3_072 },
] as const;

export async function refusal(scratch: string, rounds: number): Promise<void> {
  heading(`CPU per refusal for a deadline that cannot be met, ${IN_FLIGHT} in flight, beside an identity ModelInfer`);
  for (const { name, columns } of SIZES) {
    const repository = path.join(scratch, `refusal-${columns}`);
    writeIdentity(repository, 'identity', columns);
    writeModel(repository, 'busy', 1, slowModel(ITERATIONS, columns));
    // Those that wait name no deadline, and are to wait.
    const config = { max_batch_size: 1, instance_group: [{ count: 1 }], tensorgate: { objective_ms: 30_000 } };
    fs.writeFileSync(path.join(repository, 'busy', 'config.json'), JSON.stringify(config));
    const gateway = await startGateway(repository);
    const tensor = { shape: [1, columns], data: floats(columns) };
    const calls = new H2Load(scratch, 'identity', encodedRequest('identity', 'x', 'FP32', tensor));
    const refused = encodedRequest('busy', 'input', 'FP32', tensor);
    const refusals = new H2Load(scratch, 'busy', refused);

    const identity = async (seconds: number): Promise<number> => {
      const before = gateway.cpuUs();
      const answered = await calls.closedLoop(gateway.port, IN_FLIGHT, seconds, tensor.data.byteLength);
      return (gateway.cpuUs() - before) / answered;
    };
    const refuse = async (seconds: number): Promise<number> => {
      using load = new Load(gateway.port, refused);
      const busy = load.closedLoop(WAITING, seconds * 1_000 + 1_000);
      // The wait is there when the queue is.
      await new Promise((resolve) => setTimeout(resolve, 500));
      const before = gateway.ownCpuUs();
      const terms = { seconds, timeoutMs: TIMEOUT_MS, answerBytes: tensor.data.byteLength };
      const count = await refusals.refusals(gateway.port, IN_FLIGHT, terms);
      const costUs = (gateway.ownCpuUs() - before) / count;
      await busy;
      return costUs;
    };
    await identity(WARM_UP_S);
    await refuse(WARM_UP_S);
    const { ours, theirs } = await inTurns(rounds, { theirs: identity, ours: refuse }, (of) => of(MEASURE_S));
    const share = spread(ratios(ours, theirs), 2);
    console.log(
      `${name.padStart(7)}  refusal ${spread(ours, 1)} us  identity ${spread(theirs, 1)} us  ratio ${share}  (goal: at most 0.25)`,
    );
    await gateway.stop();
  }
}
