/** What a call costs besides the model: an identity through the whole path, beside a grpc-js server that only echoes. */

import path from 'node:path';
import { Load } from './load.ts';
import { writeIdentity } from './models.ts';
import { type ServerProcess, startEcho, startGateway } from './processes.ts';
import { heading, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const IN_FLIGHT = 64;
const WARM_UP_MS = 1_500;
const MEASURE_MS = 3_000;

/** FP32 columns, so that a row is 256 B, 12 KB and 602 KB; and the limits that we set ourselves. */
const SIZES = [
  { name: '256 B', columns: 64, limit: 2.0 },
  { name: '12 KB', columns: 3_072, limit: 2.0 },
  { name: '602 KB', columns: 150_528, limit: 2.5 },
] as const;

export async function overhead(scratch: string, rounds: number): Promise<void> {
  heading(`CPU per identity ModelInfer, ${IN_FLIGHT} in flight: gateway and runner, beside an empty grpc-js echo`);
  const repository = path.join(scratch, 'overhead');
  for (const { columns } of SIZES) writeIdentity(repository, `identity-${columns}`, columns);
  const echo = await startEcho();
  const gateway = await startGateway(repository);
  for (const { name, columns, limit } of SIZES) {
    const message = encodedRequest(`identity-${columns}`, 'x', 'FP32', { shape: [1, columns], data: floats(columns) });
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      // Alternating order: whoever goes second would otherwise always meet the warmer machine.
      for (const which of round % 2 === 0 ? ['echo', 'gateway'] : ['gateway', 'echo']) {
        if (which === 'echo') theirs.push(await cpuPerCall(echo, message));
        else ours.push(await cpuPerCall(gateway, message));
      }
    }
    const share = ratios(ours, theirs);
    console.log(
      `${name.padStart(7)}  tensorgate ${spread(ours, 0)} us  grpc-js echo ${spread(theirs, 0)} us  ratio ${spread(share, 2)}  (goal: at most ${limit})`,
    );
  }
  await gateway.stop();
  await echo.stop();
}

/** Microseconds of user and system time of the whole server per answered call. */
async function cpuPerCall(server: ServerProcess, message: Uint8Array): Promise<number> {
  using load = new Load(server.port, message);
  await load.closedLoop(IN_FLIGHT, WARM_UP_MS);
  const before = server.cpuUs();
  const answered = await load.closedLoop(IN_FLIGHT, MEASURE_MS);
  return (server.cpuUs() - before) / answered;
}
