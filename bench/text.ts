/** Texts of 16 tokens through MiniLM: the CPU of each part, and `/v1/embeddings` beside ModelInfer with ready ids. */

import fs from 'node:fs';
import path from 'node:path';
import { InferenceClient, tensor } from '../src/client/inference-client.ts';
import { miniLm, rustTokenizers } from '../test/tools/tools.ts';
import { type ServerProcess, startGateway } from './processes.ts';
import { heading, inTurns, ratios, spread } from './report.ts';

const IN_FLIGHT = 16;
const WARM_UP_S = 3;
const MEASURE_S = 4;
const MODEL = 'minilm';
/** Fourteen tokens, and two special ones around them. */
const TEXT = 'how do i reset the password of my account when i forgot it again';
const IDS = [101, 2129, 2079, 1045, 25141, 1996, 20786, 1997, 2026, 4070, 2043, 1045, 9471, 2009, 2153, 102];

export async function text(scratch: string, rounds: number): Promise<void> {
  heading(`CPU per text of 16 tokens through MiniLM, ${IN_FLIGHT} in flight`);
  const model = miniLm();
  const tools = rustTokenizers();
  if (model === undefined || tools === undefined) {
    console.log('SKIPPED: MiniLM and its tokenizer are not installed (test/tools/setup.sh does)');
    return;
  }
  const repository = path.join(scratch, 'text');
  fs.cpSync(tools.folder, path.join(repository, MODEL), {
    recursive: true,
    filter: (file) => !file.endsWith('.safetensors'),
  });
  fs.writeFileSync(path.join(repository, MODEL, 'model.onnx'), model);
  // Without a deadline, a busy machine would refuse what it cannot answer soon.
  const gateway = await startGateway(repository, ['--objective-ms', '20000']);
  try {
    await compare(gateway, rounds);
  } finally {
    await gateway.stop();
  }
}

/** Asks until `seconds` have passed. @returns how many were answered */
type Load = (seconds: number) => Promise<number>;

async function compare(gateway: ServerProcess, rounds: number): Promise<void> {
  using client = new InferenceClient(`127.0.0.1:${gateway.port}`);
  const url = `http://127.0.0.1:${gateway.httpPort}/v1/embeddings`;
  const body = JSON.stringify({ model: MODEL, input: TEXT, encoding_format: 'base64' });
  const ids = tensor.int64(IDS.map(BigInt), [1, IDS.length]);
  const mask = tensor.int64(
    IDS.map(() => 1n),
    [1, IDS.length],
  );
  const loads: Readonly<Record<string, Load>> = {
    ids: closedLoop(() =>
      client.infer(`${MODEL}:model`, {
        input_ids: ids,
        attention_mask: mask,
        token_type_ids: tensor.int64(
          IDS.map(() => 0n),
          [1, IDS.length],
        ),
      }),
    ),
    texts: closedLoop(() => client.infer(MODEL, { text: tensor.bytes([TEXT], [1]) })),
    endpoint: closedLoop(async () => {
      const response = await fetch(url, { method: 'POST', body });
      if (!response.ok) throw new Error(await response.text());
      await response.arrayBuffer();
    }),
  };
  for (const load of Object.values(loads)) await load(WARM_UP_S);
  const figures = await inTurns(rounds, loads, async (load) => costOf(gateway, load));
  const ready = figures['ids'] ?? [];
  for (const [name, costs] of Object.entries(figures)) {
    const total = costs.map(({ total: us }) => us);
    const beside = ratios(
      costs.map(({ total: us, model }) => us - model),
      costs.map(({ model }) => model),
    );
    const share = ratios(
      total,
      ready.map(({ total: us }) => us),
    );
    console.log(
      `${name.padStart(9)}: ${spread(total, 0)} us, ratio to ids ${spread(share, 2)}, beside the model ${spread(beside, 2)}`,
    );
  }
  console.log('goals: endpoint at most 1.25 of ids; beside the model at most 0.15');
}

interface Cost {
  /** All processes, in microseconds a text. */
  readonly total: number;
  /** The runner of the model. */
  readonly model: number;
}

async function costOf(gateway: ServerProcess, load: Load): Promise<Cost> {
  const model = `${MODEL}:model`;
  const before = [gateway.cpuUs(), gateway.cpuUsOfRunner(model)] as const;
  const answered = await load(MEASURE_S);
  return {
    total: (gateway.cpuUs() - before[0]) / answered,
    model: (gateway.cpuUsOfRunner(model) - before[1]) / answered,
  };
}

function closedLoop(ask: () => Promise<unknown>): Load {
  return async (seconds) => {
    const end = performance.now() + seconds * 1_000;
    let answered = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < end) {
        await ask();
        answered++;
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
    return answered;
  };
}
