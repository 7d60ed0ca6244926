/** REST beside our own gRPC, and beside a bare server of `node:http`: CPU per identity request, binary and JSON, kept alive and pipelined. */

import path from 'node:path';
import { H2Load } from './h2load.ts';
import { writeIdentity } from './models.ts';
import { cpuUsPerCall, startGateway, startHttpEcho } from './processes.ts';
import { heading, inTurns, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';
import { RestLoad } from './rest-load.ts';
import { SIZES } from './sizes.ts';

const IN_FLIGHT = 16;
/** Elements of a JSON tensor up to which 16 requests at a time are measured; longer ones come one by one. */
const MOST_JSON_AT_A_TIME = 10_000;
const LARGE_JSON_PER_S = 10;
const WARM_UP_S = 5;
const MEASURE_S = 2;

export async function rest(scratch: string, rounds: number): Promise<void> {
  heading(
    `CPU per identity request over REST, ${IN_FLIGHT} in flight, beside ModelInfer over our gRPC, and a bare node:http`,
  );
  const repository = path.join(scratch, 'rest');
  for (const { columns } of SIZES) writeIdentity(repository, `identity-${columns}`, columns);
  const gateway = await startGateway(repository);
  const bare = await startHttpEcho();
  const { port, httpPort = 0 } = gateway;
  for (const { name, columns } of SIZES) {
    const model = `identity-${columns}`;
    const data = floats(columns);
    const grpc = new H2Load(scratch, model, encodedRequest(model, 'x', 'FP32', { shape: [1, columns], data }));
    const binary = RestLoad.binary(scratch, model, data);
    const json = RestLoad.json(scratch, model, [...new Float32Array(data.buffer)].map(shortest));
    const size = data.byteLength;
    const loads = {
      gRPC: { server: gateway, run: (seconds: number) => grpc.closedLoop(port, IN_FLIGHT, seconds, size) },
      'bare node:http': {
        server: bare,
        run: (seconds: number) => binary.closedLoop(bare.port, IN_FLIGHT, seconds, size),
      },
      binary: {
        server: gateway,
        run: (seconds: number) => binary.closedLoop(httpPort, IN_FLIGHT, seconds, size),
      },
      'binary, 16 pipelined on one connection': {
        server: gateway,
        run: (seconds: number) => binary.pipelinedLoop(httpPort, IN_FLIGHT, seconds),
      },
      JSON: {
        server: gateway,
        run: (seconds: number) =>
          columns > MOST_JSON_AT_A_TIME
            ? json.oneByOne(httpPort, seconds * LARGE_JSON_PER_S, size)
            : json.closedLoop(httpPort, IN_FLIGHT, seconds, size),
      },
    };
    for (const { run } of Object.values(loads)) await run(WARM_UP_S);
    const figures = await inTurns(rounds, loads, ({ server, run }) => cpuUsPerCall(server, () => run(MEASURE_S)));
    console.log(`${name.padStart(7)}: gRPC ${spread(figures.gRPC, 0)} us`);
    const goals = {
      'bare node:http': 'none',
      binary: 'at most 1.5',
      'binary, 16 pipelined on one connection': 'none',
      JSON: jsonGoal(name),
    };
    for (const [form, goal] of Object.entries(goals) as [keyof typeof goals, string][]) {
      const share = spread(ratios(figures[form], figures.gRPC), 2);
      console.log(`${' '.repeat(9)}${form} ${spread(figures[form], 0)} us  ratio ${share}  (goal: ${goal})`);
    }
  }
  await gateway.stop();
  await bare.stop();
}

function jsonGoal(size: string): string {
  if (size === '12 KB') return 'at most 6';
  return size === '602 KB' ? 'at most 40,000 us' : 'none';
}

/** The decimal form that Python's and NumPy's encoders write for a FP32: the shortest that reads back as the same. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
