/** How much of the machine reaches the model: items per CPU-second through the whole path, beside a bare ONNX Runtime loop. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Datatype } from '../src/wire/tensor.ts';
import { H2Load } from './h2load.ts';
import { writeCifarCnn } from './models.ts';
import { cpuUsPerCall, runBare, type ServerProcess, startGateway } from './processes.ts';
import { heading, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';

/** So long, until V8 has compiled the path of a single caller. */
const WARM_UP_S = 8;
const MEASURE_S = 6;
/** Ten classes in FP32. */
const ANSWER_BYTES = 40;
const SHAPE = [1, 3, 32, 32] as const;

/** Calls in flight, and the batch size of the bare loop beside which they are measured; absent: the best of all sizes. */
interface Callers {
  readonly inFlight: number;
  readonly beside?: 1 | 32;
  readonly goal: string;
}

interface Subject {
  readonly title: string;
  readonly model: string;
  readonly file: string;
  readonly datatype: Datatype;
  readonly data: Uint8Array;
  readonly callers: readonly Callers[];
}

/** Items per CPU-second by batch size. */
type Rates = Readonly<Record<string, number>>;

export async function efficiency(scratch: string, rounds: number): Promise<void> {
  heading('Items per CPU-second, one thread: whole path beside a bare onnxruntime-node loop');
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
      callers: [
        { inFlight: 64, beside: 32, goal: 'at least 0.87' },
        { inFlight: 8, beside: 32, goal: 'at least 0.70' },
        { inFlight: 1, beside: 1, goal: 'at least 0.75' },
      ],
    },
    {
      title: 'CNN, static int8, UINT8 input (3 KB)',
      model: 'cnn-int8',
      file: int8,
      datatype: 'UINT8',
      data: new Uint8Array(3_072).fill(99),
      callers: [{ inFlight: 64, goal: 'none' }],
    },
  ];
  const gateway = await startGateway(repository);
  for (const subject of subjects) {
    const { model, datatype, data } = subject;
    // A native caller: one in JavaScript comes back so late that the others' batches leave without it.
    const load = new H2Load(scratch, model, encodedRequest(model, 'image', datatype, { shape: SHAPE, data }));
    for (const callers of subject.callers) await compare({ gateway, load }, subject, callers, rounds);
  }
  await gateway.stop();
}

async function compare(
  { gateway, load }: { readonly gateway: ServerProcess; readonly load: H2Load },
  subject: Subject,
  { inFlight, beside, goal }: Callers,
  rounds: number,
): Promise<void> {
  const ours: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const which of round % 2 === 0 ? ['bare', 'gateway'] : ['gateway', 'bare']) {
      if (which === 'gateway') ours.push(await itemsPerCpuSecond(gateway, load, inFlight));
      else {
        const rates = JSON.parse(runBare('./bare-loop.ts', [subject.file, subject.datatype])) as Rates;
        bare.push(beside === undefined ? Math.max(...Object.values(rates)) : (rates[beside] ?? Number.NaN));
      }
    }
  }
  const size = beside === undefined ? 'at its best batch size' : `in batches of ${beside}`;
  console.log(
    `${subject.title}, ${inFlight} in flight: tensorgate ${spread(ours, 0)}/s  bare ${size} ${spread(bare, 0)}/s  ratio ${spread(ratios(ours, bare), 2)}  (goal: ${goal})`,
  );
}

async function itemsPerCpuSecond(gateway: ServerProcess, load: H2Load, inFlight: number): Promise<number> {
  await load.closedLoop(gateway.port, inFlight, WARM_UP_S, ANSWER_BYTES);
  const us = await cpuUsPerCall(gateway, () => load.closedLoop(gateway.port, inFlight, MEASURE_S, ANSWER_BYTES));
  return 1e6 / us;
}
