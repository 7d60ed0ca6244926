/** What a shadow costs those who do not ask for it: the latency of the version that answers, with and without one. */

import fs from 'node:fs';
import path from 'node:path';
import { slowModel, writeModel } from '../test/support/onnx-models.ts';
import { Load } from './load.ts';
import { type ServerProcess, startGateway } from './processes.ts';
import { heading, ratios, spread } from './report.ts';
import { encodedRequest } from './requests.ts';

/** Turns of the servers: each is short and there are many, so that other work of the machine meets all of them alike. */
const TURNS = 8;
const TURN_MS = 2_500;
/** Until the copies of one turn are no longer in the way of the next. */
const PAUSE_MS = 500;
/** Far below what the version that answers can do: what waits for it keeps copies away. */
const RATE_PER_S = 100;
const DEADLINE_MS = 5_000;
/** Iterations of the version that answers, about 2 ms, and of the shadow. */
const FAST = 40;
const SLOW = 400;

const SUBJECTS = ['none', 'slow', 'crashing'] as const;
type Subject = (typeof SUBJECTS)[number];

export async function shadow(scratch: string, rounds: number): Promise<void> {
  heading(
    `Latency of a version that takes 2 ms, ${RATE_PER_S}/s, all of the server on one core, with a shadow of all requests that takes 20 ms`,
  );
  const gateways = new Map<Subject, ServerProcess>();
  for (const subject of SUBJECTS) gateways.set(subject, await start(path.join(scratch, 'shadow', subject), subject));
  const found = new Map(SUBJECTS.map((subject) => [subject, { p50: [] as number[], p99: [] as number[] }]));
  for (let round = 0; round < rounds; round++) {
    const answered = new Map(SUBJECTS.map((subject) => [subject, [] as number[]]));
    for (let turn = 0; turn < TURNS; turn++) {
      for (const subject of turn % 2 === 0 ? SUBJECTS : SUBJECTS.toReversed()) {
        const gateway = gateways.get(subject);
        if (gateway === undefined) continue;
        if (subject === 'crashing') setTimeout(() => crashShadow(gateway), TURN_MS / 4);
        for (const ms of await ask(gateway)) answered.get(subject)?.push(ms);
      }
    }
    for (const [subject, ms] of answered) {
      ms.sort((a, b) => a - b);
      found.get(subject)?.p50.push(ms[Math.floor(ms.length / 2)] ?? Number.NaN);
      found.get(subject)?.p99.push(ms[Math.floor(ms.length * 0.99)] ?? Number.NaN);
    }
  }
  const without = found.get('none') ?? { p50: [], p99: [] };
  for (const [subject, { p50, p99 }] of found) {
    const figures = `p50 ${spread(p50, 2)} ms  p99 ${spread(p99, 2)} ms`;
    const compared = `  with / without: p50 ${spread(ratios(p50, without.p50), 2)}  p99 ${spread(ratios(p99, without.p99), 2)}  (goal: at most 1.10)`;
    console.log(`shadow ${subject}: ${figures}${subject === 'none' ? '' : compared}`);
  }
  for (const gateway of gateways.values()) await gateway.stop();
}

function start(repository: string, subject: Subject): Promise<ServerProcess> {
  writeModel(repository, 'm', 1, slowModel(FAST));
  if (subject !== 'none') writeModel(repository, 'm', 2, slowModel(SLOW));
  const traffic = subject === 'none' ? {} : { shadow: { version: 2 } };
  const config = { instance_group: [{ count: 1 }], tensorgate: { traffic } };
  fs.writeFileSync(path.join(repository, 'm', 'config.json'), JSON.stringify(config));
  return startGateway(repository);
}

/** What each request of a turn took, in milliseconds. @throws Error where one was not answered. */
async function ask(gateway: ServerProcess): Promise<readonly number[]> {
  const data = new Uint8Array(Float32Array.of(1).buffer);
  using load = new Load(gateway.port, encodedRequest('m', 'input', 'FP32', { shape: [1, 1], data }));
  await load.openLoop(RATE_PER_S, 100, DEADLINE_MS);
  const { sent, answeredMs } = await load.openLoop(RATE_PER_S, TURN_MS, DEADLINE_MS);
  if (answeredMs.length < sent) throw new Error(`${sent - answeredMs.length} of ${sent} requests were not answered`);
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  return answeredMs;
}

/** The shadow's runner has the lower priority. */
function crashShadow({ pid }: ServerProcess): void {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  for (const child of children) {
    const fields = fs.readFileSync(`/proc/${child}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    if (Number(fields[16]) > 0) process.kill(child, 'SIGSEGV');
  }
}
