/** What a load report beside every answer costs: its parts by themselves, and the whole server with and without. */

import path from 'node:path';
import { AnswerHeaders, objection } from '../src/gateway/accept/grpc/answer-headers.ts';
import { LoadReports } from '../src/gateway/accept/load-reports.ts';
import { Occupancy } from '../src/gateway/batch/occupancy.ts';
import { Status } from '../src/gateway/errors.ts';
import { LoadMeter } from '../src/gateway/models/load-meter.ts';
import { diagnostics } from '../src/gateway/ops/diagnostics.ts';
import { FakeCall } from '../test/support/fake-call.ts';
import { Load } from './load.ts';
import { writeIdentity } from './models.ts';
import { startGateway } from './processes.ts';
import { heading, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const CALLS = 500_000;
const IN_FLIGHT = 64;
const WARM_UP_MS = 1_500;
const MEASURE_MS = 4_000;

export async function orca(scratch: string, rounds: number): Promise<void> {
  heading('CPU of a load report beside an answer over HTTP/2');
  const [silent, reporting] = [cost('off'), cost('always')];
  const extra = Array.from({ length: rounds }, () => reporting() - silent());
  console.log(`its parts alone: ${spread(extra, 2)} us per call  (goal: below 2)`);

  const repository = path.join(scratch, 'orca');
  writeIdentity(repository, 'identity-64', 64);
  const without = await startGateway(repository, ['--load-reports', 'off']);
  const withReports = await startGateway(repository, ['--load-reports', 'always']);
  const message = encodedRequest('identity-64', 'x', 'FP32', { shape: [1, 64], data: floats(64) });
  const figures: Record<'without' | 'with', number[]> = { without: [], with: [] };
  for (let round = 0; round < rounds; round++) {
    const order = [['without', without] as const, ['with', withReports] as const];
    for (const [name, server] of round % 2 === 0 ? order : order.reverse()) {
      using load = new Load(server.port, message);
      await load.closedLoop(IN_FLIGHT, WARM_UP_MS);
      const before = server.cpuUs();
      const answered = await load.closedLoop(IN_FLIGHT, MEASURE_MS);
      figures[name].push((server.cpuUs() - before) / answered);
    }
  }
  // Other work of the machine can only add to a figure: the least of each is nearest to the truth.
  const difference = Math.min(...figures.with) - Math.min(...figures.without);
  console.log(
    `the whole server: without ${spread(figures.without, 1)} us, with ${spread(figures.with, 1)} us, difference of the least ${difference.toFixed(1)} us`,
  );
  await without.stop();
  await withReports.stop();
}

/** Measures, in microseconds of CPU per call, what a request does that is counted, and how its answer ends. */
function cost(policy: 'off' | 'always'): () => number {
  const occupancy = new Occupancy(64);
  const meter = new LoadMeter(() => [occupancy]);
  const reports = new LoadReports(policy, meter);
  const call = new FakeCall();
  const headers = new AnswerHeaders();
  // As on a connection: what every answer repeats is in the peer's table from the first one on.
  headers.head();
  const ended = {
    call,
    model: undefined,
    requestId: '',
    status: 'OK',
    reason: undefined,
    rows: 1,
    requestBytes: 0,
    responseBytes: 0,
    queueMs: undefined,
    batchRows: 0,
    durationMs: 0,
  } as const;
  if (policy === 'off') meter[Symbol.dispose]();
  let sent = 0;
  const answer = (): void => {
    if (policy === 'always') {
      occupancy.enter(1);
      diagnostics.inferenceEnded.publish(ended);
      occupancy.leave(1);
    }
    const trailers = reports.trailersFor(call);
    if (trailers !== undefined && objection(trailers) !== undefined) throw new Error('the trailers cannot be sent');
    sent += headers.trailers({ code: Status.OK, text: '', trailers }, false, 1 << 20).length;
  };
  return () => {
    for (let i = 0; i < CALLS / 10; i++) answer();
    const before = process.cpuUsage();
    for (let i = 0; i < CALLS; i++) answer();
    const { user, system } = process.cpuUsage(before);
    if (sent === 0) throw new Error('nothing was encoded');
    return (user + system) / CALLS;
  };
}
