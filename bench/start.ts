/** How long the server takes from its command to READY, and what it holds in memory: empty, with a CNN, and under load. */

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { H2Load } from './h2load.ts';
import { writeCifarCnn, writeIdentity } from './models.ts';
import { bareNodeMs, type ServerProcess, startGateway } from './processes.ts';
import { heading, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const SETTLE_MS = 2_000;
/** V8 gives back what a start leaves when nothing has happened for some ten seconds. */
const IDLE_MS = 15_000;
const COLUMNS = 150_528;
const IN_FLIGHT = 64;
const LOAD_S = 8;

export async function start(scratch: string, rounds: number): Promise<void> {
  heading('Start to READY, and resident memory of gateway and runner, all of them on one core');
  const empty = path.join(scratch, 'empty');
  fs.mkdirSync(empty);
  const cnn = path.join(scratch, 'cnn');
  writeCifarCnn(cnn, 'cnn-float');
  const identity = path.join(scratch, 'large');
  writeIdentity(identity, 'identity', COLUMNS);
  // The first start of a user compiles, and fills the cache of compiled code for those after it.
  await (await startGateway(empty)).stop();
  await (await startGateway(cnn)).stop();
  console.log(`node without a program: ${spread(Array.from({ length: rounds }, bareNodeMs), 0)} ms`);
  await starts('without models', empty, rounds, { ms: 250, mib: 85 });
  await starts('with the CNN', cnn, rounds, { ms: 450, mib: 190 });
  await underLoad(scratch, identity, rounds);
}

async function starts(title: string, repository: string, rounds: number, goal: { ms: number; mib: number }) {
  const [readyMs, cpuMs]: [number[], number[]] = [[], []];
  const [settled, idle] = [new Residents(), new Residents()];
  for (let round = 0; round < rounds; round++) {
    const before = performance.now();
    const gateway = await startGateway(repository);
    readyMs.push(performance.now() - before);
    cpuMs.push(gateway.cpuUs() / 1_000);
    await sleep(SETTLE_MS);
    settled.note(gateway);
    await sleep(IDLE_MS - SETTLE_MS);
    idle.note(gateway);
    await gateway.stop();
  }
  console.log(
    `${title}: ready after ${spread(readyMs, 0)} ms, CPU ${spread(cpuMs, 0)} ms  (goal: at most ${goal.ms} ms)`,
  );
  console.log(`  resident after ${SETTLE_MS / 1_000} s ${settled}`);
  console.log(`  resident after ${IDLE_MS / 1_000} s ${idle}  (goal: at most ${goal.mib})`);
}

/** Resident memory of servers, round after round. */
class Residents {
  readonly #tree: number[] = [];
  readonly #own: number[] = [];

  note(gateway: ServerProcess): void {
    this.#tree.push(gateway.treeRssMiB());
    this.#own.push(gateway.rssMiB());
  }

  toString(): string {
    return `${spread(this.#tree, 0)} MiB, of it the gateway ${spread(this.#own, 0)} MiB`;
  }
}

async function underLoad(scratch: string, repository: string, rounds: number): Promise<void> {
  const data = floats(COLUMNS);
  const message = encodedRequest('identity', 'x', 'FP32', { shape: [1, COLUMNS], data });
  const load = new H2Load(scratch, 'large', message);
  const resident = new Residents();
  for (let round = 0; round < rounds; round++) {
    const gateway = await startGateway(repository);
    const calls = load.closedLoop(gateway.port, IN_FLIGHT, LOAD_S, data.byteLength);
    await sleep(LOAD_S * 900);
    resident.note(gateway);
    await calls;
    await gateway.stop();
  }
  console.log(`602 KB, ${IN_FLIGHT} in flight: resident ${resident}  (goal: at most 320)`);
}
