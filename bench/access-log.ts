/** CPU of a line of the access log: by itself, and in the whole server, whose lines go to stderr: `2>FILE` keeps them from the screen. */

import path from 'node:path';
import { startAccessLog } from '../src/gateway/ops/access-log.ts';
import { diagnostics } from '../src/gateway/ops/diagnostics.ts';
import { LogLines } from '../src/gateway/ops/log-lines.ts';
import { LogSettings } from '../src/gateway/ops/log-settings.ts';
import { FakeCall } from '../test/support/fake-call.ts';
import { Load } from './load.ts';
import { writeIdentity } from './models.ts';
import { startGateway } from './processes.ts';
import { heading, inTurns, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const CALLS = 100_000;
/** Calls that end in one turn of the event loop. */
const TOGETHER = 8;
const IN_FLIGHT = 64;
const WARM_UP_MS = 1_500;
const MEASURE_MS = 4_000;

const TIMING = { inputMs: 0.2, computeMs: 0.3, outputMs: 0.1 };
const ENDED = { status: 'OK', reason: undefined, durationMs: 1.2 } as const;
const INFERENCE = {
  ...{ ...ENDED, model: { name: 'identity-64', version: '1' }, requestId: '', rows: 1, timing: TIMING },
  ...{ requestBytes: 300, responseBytes: 300, queueMs: 0.1, batchRows: 4 },
};

export async function accessLog(scratch: string, rounds: number): Promise<void> {
  heading('CPU of the access log, with messages of 256 bytes');
  for (const every of ['errors', 100, 1] as const) {
    const extra: number[] = [];
    for (let round = 0; round < rounds; round++) extra.push((await cost(every)) - (await cost('off')));
    console.log(`--access-log ${every} by itself: ${spread(extra, 2)} us per answered call`);
  }
  const repository = path.join(scratch, 'access-log');
  writeIdentity(repository, 'identity-64', 64);
  const message = encodedRequest('identity-64', 'x', 'FP32', { shape: [1, 64], data: floats(64) });
  const servers = {
    off: await startGateway(repository, ['--access-log', 'off']),
    'one of 100': await startGateway(repository, ['--access-log', '100']),
    all: await startGateway(repository, ['--access-log', '1']),
  };
  const figures = await inTurns(rounds, servers, async (server) => {
    using load = new Load(server.port, message);
    await load.closedLoop(IN_FLIGHT, WARM_UP_MS);
    const before = server.cpuUs();
    const answered = await load.closedLoop(IN_FLIGHT, MEASURE_MS);
    return (server.cpuUs() - before) / answered;
  });
  for (const [name, values] of Object.entries(figures)) {
    console.log(`the whole server, ${name}: ${spread(values, 1)} us per call`);
  }
  for (const server of Object.values(servers)) await server.stop();
}

/** Measures, in microseconds of CPU per call, how a call ends that is answered. Lines go nowhere. */
async function cost(every: 'off' | 'errors' | number): Promise<number> {
  const lines = new LogLines(new LogSettings({ logLevel: 'info', logFormat: 'json' }), { write: () => {} });
  const stop = every === 'off' ? () => {} : startAccessLog(lines, every);
  const answer = async (calls: number): Promise<void> => {
    for (let index = 0; index < calls; index++) {
      const call = new FakeCall();
      diagnostics.inferenceEnded.publish({ ...INFERENCE, call });
      diagnostics.callEnded.publish({ ...ENDED, call, text: undefined, cause: undefined });
      if (index % TOGETHER === 0) await new Promise(setImmediate);
    }
  };
  await answer(CALLS / 10);
  const before = process.cpuUsage();
  await answer(CALLS);
  const { user, system } = process.cpuUsage(before);
  stop();
  return (user + system) / CALLS;
}
