/**
 * Silero VAD, a recurrent model whose state [2,batch,128] has its rows on axis 1 and whose sampling rate is one scalar for
 * all of a batch: many streams at once, each against itself by itself, with its state kept by the client.
 */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { InferenceClient, type Inputs, tensor } from '../../src/client/inference-client.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';

const FOLDER = path.join(import.meta.dirname, '../../node_modules/@ricky0123/vad-web/dist');
const MODELS = ['silero_vad_v5', 'silero_vad_v6', 'silero_vad_legacy'] as const;
const IS_THERE = MODELS.every((name) => fs.existsSync(path.join(FOLDER, `${name}.onnx`)));
if (!IS_THERE)
  console.warn(`voice-activity: not tested, because ${FOLDER} is not there (npm install @ricky0123/vad-web)`);

/** New samples of each request. Models with a context want some of those before, too. */
const SAMPLES = 512;
const CHUNKS = 24;
const STREAMS = 12;
const RATE = 16_000;

const SEQUENCES = { max_sequence_idle_microseconds: 600_000_000, oldest: { max_candidate_sequences: 64 } };
const COMMON = {
  max_batch_size: 8,
  instance_group: [{ count: 1 }],
  tensorgate: { batch_axes: { sr: 'none' }, probe_values: { sr: RATE } },
};
const state = (input_name: string, output_name: string, width: number): object => {
  return { input_name, output_name, data_type: 'TYPE_FP32', dims: [2, width] };
};

/** What each model takes: samples, and states of a width. */
const SHAPES = {
  silero_vad_v5: { samples: SAMPLES + 64, width: 128, names: [['state', 'stateN']] },
  silero_vad_v6: { samples: SAMPLES + 64, width: 128, names: [['state', 'stateN']] },
  silero_vad_legacy: {
    samples: SAMPLES,
    width: 64,
    names: [
      ['h', 'hn'],
      ['c', 'cn'],
    ],
  },
} as const;

function files(): Record<string, ModelFiles> {
  if (!IS_THERE) return {};
  return Object.fromEntries(
    MODELS.flatMap((name): [string, ModelFiles][] => {
      const versions = { 1: fs.readFileSync(path.join(FOLDER, `${name}.onnx`)) };
      const { samples, width, names } = SHAPES[name];
      const sequence_batching = { ...SEQUENCES, state: names.map(([from, to]) => state(from, to, width)) };
      return [
        [name, { versions, config: { ...COMMON, input: [{ name: 'input', dims: [samples] }], sequence_batching } }],
        [`${name}_alone`, { versions, config: { max_batch_size: 0, instance_group: [{ count: 1 }] } }],
      ];
    }),
  );
}

/** Something like a vowel that comes and goes, noise, or silence: of its own kind for each stream. */
function audio(stream: number, chunk: number, samples: number): Float32Array {
  return Float32Array.from({ length: samples }, (_, index) => {
    const at = Math.max(0, (chunk + 1) * SAMPLES - samples + index) / RATE;
    const pitch = 2 * Math.PI * (90 + 17 * stream) * at;
    const voice = Math.sin(pitch) + 0.6 * Math.sin(2 * pitch) + 0.4 * Math.sin(5 * pitch) + 0.2 * Math.sin(11 * pitch);
    const loud = Math.max(0, Math.sin(2 * Math.PI * (0.9 + stream / 10) * at));
    if (stream % 4 === 3) return 0;
    return stream % 4 === 2 ? 0.05 * Math.sin(1e7 * Math.sin(1e5 * at)) : 0.3 * voice * loud;
  });
}

describe.skipIf(!IS_THERE)('Silero VAD', () => {
  const fixture = useServer(files());

  function inputsOf(model: (typeof MODELS)[number], stream: number, chunk: number): Inputs {
    const { samples } = SHAPES[model];
    const input = tensor.fp32(audio(stream, chunk, samples), [1, samples]);
    return { input, sr: tensor.int64([BigInt(RATE)], []) };
  }

  async function asSequence(from: InferenceClient, model: (typeof MODELS)[number], stream: number): Promise<number[]> {
    const found: number[] = [];
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const parameters = {
        sequence_id: `stream ${stream}`,
        sequence_start: chunk === 0,
        sequence_end: chunk === CHUNKS - 1,
      };
      const { data } = (await from.infer(model, inputsOf(model, stream, chunk), { parameters })).output(
        'output',
        'FP32',
      );
      found.push(data[0] ?? Number.NaN);
    }
    return found;
  }

  /** The same, with the state going to and fro. */
  async function alone(from: InferenceClient, model: (typeof MODELS)[number], stream: number): Promise<number[]> {
    const { width, names } = SHAPES[model];
    const found: number[] = [];
    let states: Inputs = Object.fromEntries(
      names.map(([name]) => [name, tensor.fp32(new Float32Array(2 * width), [2, 1, width])]),
    );
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const answer = await from.infer(`${model}_alone`, { ...inputsOf(model, stream, chunk), ...states });
      found.push(answer.output('output', 'FP32').data[0] ?? Number.NaN);
      states = Object.fromEntries(names.map(([name, output]) => [name, answer.output(output, 'FP32')]));
    }
    return found;
  }

  test.each(MODELS)('%s: many concurrent streams get the same answers as one at a time', async (model) => {
    using from = new InferenceClient(fixture.server.grpc);
    const streams = Array.from({ length: STREAMS }, (_, stream) => stream);
    const together = await Promise.all(streams.map((stream) => asSequence(from, model, stream)));
    const { model_stats } = await fixture.client.call('ModelStatistics', { name: model });
    const sizes = model_stats[0].batch_stats.map(({ batch_size }: { batch_size: string }) => Number(batch_size));
    expect(Math.max(...sizes)).toBeGreaterThan(1);
    let largest = 0;
    let off = 0;
    for (const stream of streams) {
      const reference = await alone(from, model, stream);
      largest = Math.max(largest, ...reference);
      for (const [chunk, probability] of reference.entries()) {
        off = Math.max(off, Math.abs(probability - (together[stream]?.[chunk] ?? Number.NaN)));
      }
    }
    expect(off).toBeLessThan(1e-6);
    // It did detect speech, and not all the time.
    expect(largest).toBeGreaterThan(0.1);
  });

  test('ModelConfig says that all rows of a batch share one sample rate', async () => {
    const { config } = await fixture.client.call('ModelConfig', { name: 'silero_vad_v5' });
    expect(config.parameters.batching.string_value).toContain("on (axis 0, one 'sr' for all rows, max 8 rows, ");
  });
});
