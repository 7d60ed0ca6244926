/**
 * What a call costs where acceptors take connections: in the owner, in the acceptors, and all together beside one thread that does
 * everything. The machine has fewer cores than the question is about, so the ceilings are computed: they were not run.
 */

import fs from 'node:fs';
import path from 'node:path';
import { acceptorCount } from '../src/gateway/transport.ts';
import { H2Load } from './h2load.ts';
import { writeIdentity } from './models.ts';
import { type ServerProcess, startGateway } from './processes.ts';
import { heading, inTurns, median, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';
import { SIZES } from './sizes.ts';

const WARM_UP_S = 8;
const MEASURE_S = 2;
const IN_FLIGHT = 64;
const MACHINES = [8, 64];

/** Microseconds of CPU for a call. */
interface Cost {
  /** Gateway and runner. */
  readonly all: number;
  readonly owner: number;
  /** Acceptors together: a call passes one of them. */
  readonly acceptors: number;
}

export async function acceptors(scratch: string, rounds: number): Promise<void> {
  heading(`CPU per identity ModelInfer with acceptors, ${IN_FLIGHT} in flight, beside one thread`);
  const repository = path.join(scratch, 'acceptors');
  for (const { columns } of SIZES) writeIdentity(repository, `identity-${columns}`, columns);
  const servers: Readonly<Record<string, ServerProcess>> = {
    one: await startGateway(repository),
    two: await startGateway(repository, ['--acceptors', '2']),
  };
  for (const { name, columns } of SIZES) {
    const data = floats(columns);
    const message = encodedRequest(`identity-${columns}`, 'x', 'FP32', { shape: [1, columns], data });
    const load = new H2Load(scratch, `acceptors-${columns}`, message);
    for (const { port } of Object.values(servers)) await load.closedLoop(port, IN_FLIGHT, WARM_UP_S, data.byteLength);
    const measured = new Map<number, Cost>();
    const figures = await inTurns(rounds, servers, async (server) => {
      const before = threadsOf(server);
      const calls = await load.closedLoop(server.port, IN_FLIGHT, MEASURE_S, data.byteLength);
      const after = threadsOf(server);
      const cost = (part: keyof Cost): number => (after[part] - before[part]) / calls;
      const all = cost('all');
      measured.set(all, { all, owner: cost('owner'), acceptors: cost('acceptors') });
      return all;
    });
    const [one = [], two = []] = [figures['one'], figures['two']];
    const parts = two.flatMap((all) => measured.get(all) ?? []);
    console.log(
      `${name.padStart(7)}  one thread ${spread(one, 1)} us  two acceptors ${spread(two, 1)} us  ratio ${spread(ratios(two, one), 2)}  (goal: at most 1.1)`,
    );
    const [owner, ofAcceptors] = [parts.map((part) => part.owner), parts.map((part) => part.acceptors)];
    console.log(`${' '.repeat(9)}owner ${spread(owner, 1)} us  acceptor ${spread(ofAcceptors, 1)} us`);
    for (const cores of MACHINES) {
      const count = acceptorCount('auto', cores);
      const most = Math.min(1e6 / median(owner), (count * 1e6) / median(ofAcceptors));
      console.log(`${' '.repeat(9)}computed for ${cores} cores, ${count} acceptors: ${Math.round(most)} calls/s`);
    }
  }
  for (const server of Object.values(servers)) await server.stop();
}

/** CPU so far, in microseconds. Threads for collections and compiling count in `all` only. */
function threadsOf({ pid, cpuUs }: ServerProcess): Cost {
  let owner = 0;
  let ofAcceptors = 0;
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
    const stat = fs.readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const us = (Number(fields[11]) + Number(fields[12])) * 10_000;
    if (task === String(pid)) owner += us;
    else if (stat.includes('(acceptor-')) ofAcceptors += us;
  }
  return { all: cpuUs(), owner, acceptors: ofAcceptors };
}
