/** How much of the machine reaches the model: items per CPU-second through the whole path, beside a bare ONNX Runtime loop. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Datatype } from '../src/wire/tensor.ts';
import { Load } from './load.ts';
import { writeCifarCnn } from './models.ts';
import { type ServerProcess, startGateway } from './processes.ts';
import { heading, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

const CLIENTS = 64;
const WARM_UP_MS = 2_000;
const MEASURE_MS = 6_000;
const SHAPE = [1, 3, 32, 32] as const;

interface Subject {
  readonly title: string;
  readonly model: string;
  readonly file: string;
  readonly datatype: Datatype;
  readonly data: Uint8Array;
  readonly goal: string;
}

export async function efficiency(scratch: string, rounds: number): Promise<void> {
  heading(
    `Items per CPU-second, ${CLIENTS} clients, one thread: whole path beside a bare onnxruntime-node loop at its best batch size`,
  );
  const repository = path.join(scratch, 'efficiency');
  const float = writeCifarCnn(repository, 'cnn-float');
  const int8 = path.join(repository, 'cnn-int8', '1', 'model.onnx');
  fs.mkdirSync(path.dirname(int8), { recursive: true });
  fs.copyFileSync(fileURLToPath(new URL('../models/cifar10/2/model.onnx', import.meta.url)), int8);
  const subjects: readonly Subject[] = [
    {
      title: 'CNN, float weights, FP32 input (12 KB)',
      model: 'cnn-float',
      file: float,
      datatype: 'FP32',
      data: floats(3_072),
      goal: 'at least 0.82, aim 0.86',
    },
    {
      title: 'CNN, static int8, UINT8 input (3 KB)',
      model: 'cnn-int8',
      file: int8,
      datatype: 'UINT8',
      data: new Uint8Array(3_072).fill(99),
      goal: 'none',
    },
  ];
  const gateway = await startGateway(repository);
  for (const subject of subjects) {
    const ours: number[] = [];
    const bare: number[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const which of round % 2 === 0 ? ['bare', 'gateway'] : ['gateway', 'bare']) {
        if (which === 'bare') bare.push(bareLoop(subject));
        else ours.push(await itemsPerCpuSecond(gateway, subject));
      }
    }
    console.log(
      `${subject.title}: tensorgate ${spread(ours, 0)}/s  bare ${spread(bare, 0)}/s  ratio ${spread(ratios(ours, bare), 2)}  (goal: ${subject.goal})`,
    );
  }
  await gateway.stop();
}

async function itemsPerCpuSecond(gateway: ServerProcess, { model, datatype, data }: Subject): Promise<number> {
  using load = new Load(gateway.port, encodedRequest(model, 'image', datatype, { shape: SHAPE, data }));
  await load.closedLoop(CLIENTS, WARM_UP_MS);
  const before = gateway.cpuUs();
  const answered = await load.closedLoop(CLIENTS, MEASURE_MS);
  return (answered * 1e6) / (gateway.cpuUs() - before);
}

/** Runs in a process of its own, pinned like the server. */
function bareLoop({ file, datatype }: Subject): number {
  const script = fileURLToPath(new URL('./bare-loop.ts', import.meta.url));
  const { stdout, status } = spawnSync('taskset', ['-c', '0', process.execPath, script, file, datatype], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  });
  if (status !== 0) throw new Error(`bare-loop.ts ended with ${status}`);
  return Number(stdout.trim());
}
