import { describe, expect, test } from 'vitest';
import { gather } from '../../../../src/gateway/batch/batch.ts';
import { InstanceGroup } from '../../../../src/gateway/dispatch/instance-group.ts';
import { provePadding } from '../../../../src/gateway/models/trial/padding-independence.ts';
import type { RunRows } from '../../../../src/gateway/models/trial/row-independence.ts';
import type { ProbeShape } from '../../../../src/gateway/models/trial/synthetic-input.ts';
import { MODEL_CONFIG } from '../../../../src/gateway/repository/config/model-config.ts';
import type { LengthAxis, Padding } from '../../../../src/gateway/repository/signature/length-axis.ts';
import { lengthsOf, resolveSignature } from '../../../../src/gateway/repository/signature/model-signature.ts';
import type { Datatype, Shape } from '../../../../src/wire/tensor.ts';
import { bytesOf } from '../../../../src/wire/tensor-bytes.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';
import { encoderModel, identityModel, model, textModel } from '../../../support/onnx-models.ts';
import { batchOf, groupOptions, modelFile, PATIENCE_MS, startRunner } from '../../../support/runners.ts';

const WIDE: ProbeShape = { openAxisSize: 16, range: 'wide' };

/** What the proof says of a model that runs, with the inputs padded that are found or declared. */
async function proofOf(bytes: Uint8Array, padding?: Readonly<Record<string, number>>, shape = WIDE): Promise<Padding> {
  const group = new InstanceGroup(groupOptions(modelFile(bytes)));
  await group.load(startRunner());
  const config = MODEL_CONFIG.parse(padding === undefined ? {} : { tensorgate: { padding } });
  const { inputs, outputs, batching } = resolveSignature(group.info, config);
  const lengths = lengthsOf(batching);
  if (lengths === undefined) throw new Error('nothing is to be padded');
  const run: RunRows = (rows) =>
    group.run(batchOf(rows), { inputs, outputs, axis: 'rows', lengths }, { maxMs: PATIENCE_MS });
  return provePadding(run, inputs, lengths, { shape });
}

function outputsOf(padding: Padding): object | string {
  return padding.kind === 'on' ? Object.fromEntries(padding.lengths.outputs) : padding.reason;
}

describe('padding is proven', () => {
  test('where a model masks it, with the axes of its outputs that are to be cut', async () => {
    expect(outputsOf(await proofOf(encoderModel()))).toEqual({ last_hidden_state: [1], attentions: [1, 2] });
  });

  test('where a model takes 0 and 1 only', async () => {
    expect((await proofOf(encoderModel(), undefined, { ...WIDE, range: 'small' })).kind).toBe('on');
  });

  test('where each element is answered by itself, without a mask', async () => {
    const proven = await proofOf(identityModel('FP32', ['batch', 'width']), { input: 3 });
    expect(outputsOf(proven)).toEqual({ output: [1] });
  });
});

describe('padding is off', () => {
  test.each([
    ['its attention does not mask', encoderModel('none'), "output 'last_hidden_state' of a row changes by "],
    ['its mean does not mask', encoderModel('attention'), "output 'pooled' of a row changes by "],
    ['it quantizes all of a batch by one scale', textModel('dynamic'), "output 'y' of a row changes by "],
    ['it reads the last element', textModel('last'), "output 'y' of a row changes by "],
    ['it takes the greatest element', textModel('greatest'), "output 'y' of a row changes by "],
    ['it counts elements', textModel('count'), "output 'y' of a row changes by "],
    [
      'its output is longer than its input',
      textModel('doubled'),
      "output 'y' of a row has the shape [1,28,1] by itself and [1,62,1] in a batch",
    ],
  ])('where %s', async (_, bytes, reason) => {
    expect(outputsOf(await proofOf(bytes))).toContain(reason);
  });

  test('where the declared value of a mask means no padding', async () => {
    expect(outputsOf(await proofOf(encoderModel(), { attention_mask: 1 }))).toContain(
      'is the pad value of the mask right?',
    );
  });

  test('where an output holds a text for each element', async () => {
    const words = [
      { name: 'mask', datatype: 'INT64' as const, axes: ['batch', 'sequence'] },
      { name: 'words', datatype: 'BYTES' as const, axes: ['batch', 'sequence'] },
    ];
    const bytes = model({
      inputs: words.slice(0, 1),
      outputs: words.slice(1),
      nodes: [{ opType: 'Cast', input: ['mask'], output: ['words'], attribute: [{ name: 'to', type: 2, i: 8 }] }],
    });
    expect(outputsOf(await proofOf(bytes))).toBe("output 'words' holds as many texts as the inputs are long");
  });
});

describe('a model that is odd', () => {
  const lengths: LengthAxis = {
    inputs: new Map([[0, { axis: 1, filler: new Uint8Array(64) }]]),
    mask: 0,
    outputs: new Map(),
  };
  const inputs = [{ name: 'x', datatype: 'UINT8' as Datatype, shape: [-1, -1] as Shape }];
  const ok = (shape: Shape, data: Uint8Array): RunOutcome => {
    const outputs = [{ name: 'y', datatype: 'UINT8' as const, shape, data }];
    return { kind: 'ok', outputs, inputMs: 0, computeMs: 0, outputMs: 0 };
  };

  /** A model that gives back what it gets, except where `refuses` says why not. */
  const echo =
    (refuses: (shape: Shape) => RunOutcome | undefined): RunRows =>
    async (rows) => {
      const { places, chunks } = gather(batchOf(rows), inputs, 'rows', lengths);
      const shape = places[0]?.shape ?? [];
      return refuses(shape) ?? ok(shape, Buffer.concat(chunks.map(bytesOf)));
    };
  const refused: RunOutcome = { kind: 'refused', message: 'too long' };

  test('is tried with shorter rows where it takes no longer ones', async () => {
    const longest: number[] = [];
    const run = echo((shape) => {
      if ((shape[1] ?? 0) > 16) return refused;
      longest.push(shape[1] ?? 0);
      return undefined;
    });
    const proven = await provePadding(run, inputs, lengths, { shape: WIDE });
    expect(outputsOf(proven)).toEqual({ y: [1] });
    expect(Math.max(...longest)).toBe(16);
  });

  test('is not padded where it takes one length only', async () => {
    const run = echo((shape) => (shape[1] === 1 ? undefined : refused));
    const proven = await provePadding(run, inputs, lengths, { shape: { ...WIDE, openAxisSize: 1 } });
    expect(outputsOf(proven)).toBe('no made-up input of more than one length runs');
  });

  test('is not padded where it refuses shorter rows', async () => {
    const run = echo((shape) => ((shape[1] ?? 0) < 16 ? refused : undefined));
    const proven = await provePadding(run, inputs, lengths, { shape: WIDE });
    expect(outputsOf(proven)).toBe('a row of length 14 does not run (too long)');
  });

  test('is not padded where it answers NaN, which is the same padded or not', async () => {
    const run: RunRows = async (rows) => {
      const { places } = gather(batchOf(rows), inputs, 'rows', lengths);
      const data = new Uint8Array(new Float32Array(rows.length).fill(Number.NaN).buffer);
      const outputs = [{ name: 'y', datatype: 'FP32' as const, shape: [places[0]?.shape[0] ?? 0], data }];
      return { kind: 'ok', outputs, inputMs: 0, computeMs: 0, outputMs: 0 };
    };
    const proven = await provePadding(run, inputs, lengths, { shape: WIDE });
    expect(outputsOf(proven)).toBe(
      "output 'y' of a made-up row holds NaN, which proves nothing (is the pad value of the mask right?)",
    );
  });

  test('is not padded where it refuses several rows', async () => {
    const run = echo((shape) => ((shape[0] ?? 0) > 1 ? refused : undefined));
    const proven = await provePadding(run, inputs, lengths, { shape: WIDE });
    expect(outputsOf(proven)).toBe('a batch of 5 rows does not run (too long)');
  });
});
