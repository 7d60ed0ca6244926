/**
 * Texts through MiniLM. Of 16 tokens: the CPU of each part, and `/v1/embeddings` beside ModelInfer with ready ids. Of mixed lengths:
 * texts per CPU-second beside the same model and tokenizer one by one without a server, and the delay of the gateway's event loop.
 */

import fs from 'node:fs';
import path from 'node:path';
import { InferenceClient, tensor } from '../src/client/inference-client.ts';
import { miniLm, rustTokenizers } from '../test/tools/tools.ts';
import { runBare, type ServerProcess, startGateway } from './processes.ts';
import { heading, inTurns, ratios, spread } from './report.ts';
import { type TextKind, tokensOf } from './simulate/text-lengths.ts';

const IN_FLIGHT = 16;
/** A few hundred calls a second take that long until V8 has compiled their path. */
const WARM_UP_S = 15;
const MEASURE_S = 5;
const MODEL = 'minilm';
/** Fourteen tokens, and two special ones around them. */
const TEXT = 'how do i reset the password of my account when i forgot it again';
const IDS = [101, 2129, 2079, 1045, 25141, 1996, 20786, 1997, 2026, 4070, 2043, 1045, 9471, 2009, 2153, 102];
const CLIENTS = 64;
/** Each is one token. */
const WORDS = TEXT.split(' ');
const TEXTS = 512;
const SPECIAL_TOKENS = 2;

export async function text(scratch: string, rounds: number): Promise<void> {
  const model = miniLm();
  const tools = rustTokenizers();
  if (model === undefined || tools === undefined) {
    heading('Texts through MiniLM');
    console.log('SKIPPED: MiniLM and its tokenizer are not installed (test/tools/setup.sh does)');
    return;
  }
  const repository = path.join(scratch, 'text');
  const folder = path.join(repository, MODEL);
  fs.cpSync(tools.folder, folder, { recursive: true, filter: (file) => !file.endsWith('.safetensors') });
  fs.writeFileSync(path.join(folder, 'model.onnx'), model);
  // Without a deadline, a busy machine would refuse what it cannot answer soon.
  const gateway = await startGateway(repository, ['--objective-ms', '20000']);
  try {
    await compare(gateway, rounds);
    for (const kind of ['queries', 'mixed'] as const) await mixed(kind, { gateway, folder, scratch, rounds });
  } finally {
    await gateway.stop();
  }
}

/** Asks until `seconds` have passed. @returns how many were answered */
type Load = (seconds: number) => Promise<number>;

async function compare(gateway: ServerProcess, rounds: number): Promise<void> {
  heading(`CPU per text of ${IDS.length} tokens, ${IN_FLIGHT} in flight`);
  using client = new InferenceClient(`127.0.0.1:${gateway.port}`);
  const url = `http://127.0.0.1:${gateway.httpPort}/v1/embeddings`;
  const body = JSON.stringify({ model: MODEL, input: TEXT, encoding_format: 'base64' });
  const ids = tensor.int64(IDS.map(BigInt), [1, IDS.length]);
  const mask = tensor.int64(
    IDS.map(() => 1n),
    [1, IDS.length],
  );
  const types = tensor.int64(
    IDS.map(() => 0n),
    [1, IDS.length],
  );
  const inputs = { input_ids: ids, attention_mask: mask, token_type_ids: types };
  const loads: Readonly<Record<string, Load>> = {
    ids: closedLoop(IN_FLIGHT, () => client.infer(`${MODEL}:model`, inputs)),
    texts: closedLoop(IN_FLIGHT, () => client.infer(MODEL, { text: tensor.bytes([TEXT], [1]) })),
    endpoint: closedLoop(IN_FLIGHT, async () => {
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
  console.log('goals: endpoint at most 1.25 of ids; texts beside the model at most 0.15');
}

interface Mixed {
  readonly gateway: ServerProcess;
  readonly folder: string;
  readonly scratch: string;
  readonly rounds: number;
}

async function mixed(kind: TextKind, { gateway, folder, scratch, rounds }: Mixed): Promise<void> {
  const texts = tokensOf(kind, TEXTS, 1).map((tokens) => textOf(Math.max(1, tokens - SPECIAL_TOKENS)));
  const tokens = texts.reduce((sum, each) => sum + each.split(' ').length + SPECIAL_TOKENS, 0) / TEXTS;
  heading(
    `Texts per CPU-second, ${CLIENTS} clients, ${kind} of ${tokens.toFixed(0)} tokens on average: beside one by one`,
  );
  const file = path.join(scratch, `${kind}.json`);
  fs.writeFileSync(file, JSON.stringify(texts));
  using client = new InferenceClient(`127.0.0.1:${gateway.port}`);
  let next = 0;
  const load = closedLoop(CLIENTS, () =>
    client.infer(MODEL, { text: tensor.bytes([texts[next++ % TEXTS] ?? ''], [1]) }),
  );
  await load(WARM_UP_S);
  await lagMs(gateway);
  const ours: number[] = [];
  const bare: number[] = [];
  const lags: number[] = [];
  for (let round = 0; round < rounds; round++) {
    bare.push(Number(runBare('./bare-texts.ts', [folder, file, String(MEASURE_S)])));
    const { total } = await costOf(gateway, load);
    ours.push(1e6 / total);
    lags.push(await lagMs(gateway));
  }
  console.log(
    `tensorgate ${spread(ours, 0)}/s  one by one ${spread(bare, 0)}/s  ratio ${spread(ratios(ours, bare), 2)}  (goal: at least 1.0)`,
  );
  console.log(`delay of the event loop, p99: ${spread(lags, 1)} ms  (goal: at most 20)`);
}

function textOf(words: number): string {
  return Array.from({ length: words }, (_, index) => WORDS[(index * 7) % WORDS.length]).join(' ');
}

/** The 99th percentile since the last call. */
async function lagMs(gateway: ServerProcess): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${gateway.httpPort}/metrics`)).text();
  const seconds = /^nodejs_eventloop_lag_p99_seconds(?:\{.*\})? (?<value>\S+)/m.exec(metrics)?.groups?.['value'];
  if (seconds === undefined) throw new Error('/metrics has no nodejs_eventloop_lag_p99_seconds');
  return Number(seconds) * 1_000;
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

function closedLoop(callers: number, ask: () => Promise<unknown>): Load {
  return async (seconds) => {
    const end = performance.now() + seconds * 1_000;
    let answered = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < end) {
        await ask();
        answered++;
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return answered;
  };
}
