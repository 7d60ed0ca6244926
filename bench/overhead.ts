/** What our part of a request costs: CPU of an identity model through the whole path, beside echoes in C++ and of grpc-js. */

import path from 'node:path';
import { grpcEcho } from './grpc-echo/toolchain.ts';
import { H2Load } from './h2load.ts';
import { writeIdentity } from './models.ts';
import { cpuUsPerCall, type ServerProcess, startEcho, startGateway, startGrpcEcho } from './processes.ts';
import { heading, inTurns, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';
import { SIZES } from './sizes.ts';

const WARM_UP_S = 8;
const MEASURE_S = 2;

type Peer = 'C++' | 'grpc-js';

/** The limits that we set ourselves, as ratios to each peer. */
const LOADS: readonly { inFlight: number; goals: Readonly<Record<string, Partial<Record<Peer, string>>>> }[] = [
  {
    inFlight: 64,
    goals: {
      '256 B': { 'C++': 'at most 1.2', 'grpc-js': 'at most 0.7' },
      '12 KB': { 'C++': 'at most 1.25', 'grpc-js': 'at most 0.5' },
      '602 KB': { 'C++': 'at most 1.8, aim 1.4' },
    },
  },
  { inFlight: 8, goals: {} },
  { inFlight: 1, goals: {} },
];
const FEW_IN_FLIGHT: Partial<Record<Peer, string>> = { 'C++': 'aim 2.0' };

export async function overhead(scratch: string, rounds: number): Promise<void> {
  const program = grpcEcho();
  heading('CPU per identity ModelInfer, gateway and runner, beside empty gRPC echoes in C++ and of grpc-js');
  const repository = path.join(scratch, 'overhead');
  for (const { columns } of SIZES) writeIdentity(repository, `identity-${columns}`, columns);
  const peers = new Map<Peer, ServerProcess>([['grpc-js', await startEcho()]]);
  if (program !== undefined) peers.set('C++', await startGrpcEcho(program));
  const gateway = await startGateway(repository);
  const servers: Readonly<Record<string, ServerProcess>> = { ...Object.fromEntries(peers), gateway };
  for (const { name, columns } of SIZES) {
    const data = floats(columns);
    const message = encodedRequest(`identity-${columns}`, 'x', 'FP32', { shape: [1, columns], data });
    const load = new H2Load(scratch, `identity-${columns}`, message);
    for (const { port } of Object.values(servers)) await load.closedLoop(port, 64, WARM_UP_S, data.byteLength);
    for (const { inFlight, goals } of LOADS) {
      const figures = await inTurns(rounds, servers, (server) =>
        cpuUsPerCall(server, () => load.closedLoop(server.port, inFlight, MEASURE_S, data.byteLength)),
      );
      const ours = figures['gateway'] ?? [];
      console.log(`${name.padStart(7)}, ${inFlight} in flight: tensorgate ${spread(ours, 0)} us`);
      for (const peer of peers.keys()) {
        const theirs = figures[peer] ?? [];
        const goal = (goals[name] ?? FEW_IN_FLIGHT)[peer] ?? 'none';
        console.log(
          `${' '.repeat(9)}${peer} echo ${spread(theirs, 0)} us  ratio ${spread(ratios(ours, theirs), 2)}  (goal: ${goal})`,
        );
      }
    }
  }
  for (const server of Object.values(servers)) await server.stop();
}
