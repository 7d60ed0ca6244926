/**
 * What a call costs besides the model, in user and system time of all processes: an identity through the whole path, beside a
 * grpc-js server that only echoes.
 */

import path from 'node:path';
import { H2Load } from './h2load.ts';
import { writeIdentity } from './models.ts';
import { startEcho, startGateway } from './processes.ts';
import { heading, inPairs, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const IN_FLIGHT = 64;
const WARM_UP_S = 8;
const MEASURE_S = 3;

/** FP32 columns, so that a row is 256 B, 12 KB and 602 KB; and the limits that we set ourselves. */
const SIZES = [
  { name: '256 B', columns: 64, limit: 0.7 },
  { name: '12 KB', columns: 3_072, limit: 0.5 },
  { name: '602 KB', columns: 150_528, limit: 0.8 },
] as const;

export async function overhead(scratch: string, rounds: number): Promise<void> {
  heading(`CPU per identity ModelInfer, ${IN_FLIGHT} in flight: gateway and runner, beside an empty grpc-js echo`);
  const repository = path.join(scratch, 'overhead');
  for (const { columns } of SIZES) writeIdentity(repository, `identity-${columns}`, columns);
  const echo = await startEcho();
  const gateway = await startGateway(repository);
  for (const { name, columns, limit } of SIZES) {
    const data = floats(columns);
    const message = encodedRequest(`identity-${columns}`, 'x', 'FP32', { shape: [1, columns], data });
    const load = new H2Load(scratch, `identity-${columns}`, message);
    for (const { port } of [echo, gateway]) await load.closedLoop(port, IN_FLIGHT, WARM_UP_S, data.byteLength);
    const { ours, theirs } = await inPairs(rounds, { ours: gateway, theirs: echo }, async (server) => {
      const before = server.cpuUs();
      const answered = await load.closedLoop(server.port, IN_FLIGHT, MEASURE_S, data.byteLength);
      return (server.cpuUs() - before) / answered;
    });
    const share = ratios(ours, theirs);
    console.log(
      `${name.padStart(7)}  tensorgate ${spread(ours, 0)} us  grpc-js echo ${spread(theirs, 0)} us  ratio ${spread(share, 2)}  (goal: at most ${limit})`,
    );
  }
  await gateway.stop();
  await echo.stop();
}
