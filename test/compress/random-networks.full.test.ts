/** Random small networks: quantized, they are as far from float as quantization allows, and no farther. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { calibrate } from '../../src/compress/calibration.ts';
import { compress } from '../../src/compress/compress.ts';
import { encodeOnnxModel, type OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { countOperators } from '../../src/compress/optimized-model.ts';
import { errorBounds } from '../support/error-bound.ts';
import { outputsOf, RUNNER, randomFeeds } from '../support/model-runs.ts';
import { defectsOf, Network } from '../support/network.ts';

const SIZE = 8;

type Step =
  | { readonly kind: 'conv'; readonly kernel: 1 | 3; readonly channels: 4 | 8; readonly depthwise: boolean }
  | { readonly kind: 'residual' | 'concat' | 'maxpool' | 'average' };

interface Recipe {
  readonly seed: number;
  readonly steps: readonly Step[];
  readonly activations: readonly ('relu' | 'relu6' | 'none')[];
  readonly normalized: boolean;
  readonly end: 'gap' | 'flatten';
  readonly transposed: boolean;
  readonly inputSize: number;
  /** What lies between the last product and the answer. */
  readonly tail: readonly ('Relu' | 'Flatten')[];
}

const RECIPE: fc.Arbitrary<Recipe> = fc.record({
  seed: fc.integer({ min: 1, max: 1e9 }),
  steps: fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('conv' as const),
          kernel: fc.constantFrom(1 as const, 3 as const),
          channels: fc.constantFrom(4 as const, 8 as const),
          depthwise: fc.boolean(),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constantFrom('residual' as const, 'concat' as const, 'maxpool' as const, 'average' as const),
        }),
      },
    ),
    { minLength: 1, maxLength: 4 },
  ),
  activations: fc.array(fc.constantFrom('relu' as const, 'relu6' as const, 'none' as const), {
    minLength: 8,
    maxLength: 8,
  }),
  normalized: fc.boolean(),
  end: fc.constantFrom('gap' as const, 'flatten' as const),
  transposed: fc.boolean(),
  inputSize: fc.constantFrom(0.1, 1, 20),
  tail: fc.constantFrom([], ['Relu'] as const, ['Relu', 'Flatten'] as const, ['Flatten'] as const),
});

function build({ seed, steps, activations, normalized, end, transposed, tail }: Recipe): OnnxModel {
  const network = new Network(seed);
  let channels = 4;
  let size = SIZE;
  let turn = 0;
  const activated = (tensor: string): string => {
    const kind = activations[turn++ % activations.length];
    if (kind === 'none') return tensor;
    if (kind === 'relu') return network.add('Relu', [tensor]);
    const name = `clip${turn}`;
    const limits = [
      network.constant(`${name}_min`, Float32Array.of(0), []),
      network.constant(`${name}_max`, Float32Array.of(6), []),
    ];
    return network.add('Clip', [tensor, ...limits]);
  };
  const block = (tensor: string, to: number, kernel: 1 | 3, group = 1): string => {
    const conv = network.conv(tensor, channels, to, { kernel, group, bias: !normalized });
    return activated(normalized ? network.batchNorm(conv, to) : conv);
  };
  let tensor = block('x', channels, 3);
  for (const step of steps) {
    switch (step.kind) {
      case 'conv': {
        const to = step.depthwise ? channels : step.channels;
        tensor = block(tensor, to, step.kernel, step.depthwise ? channels : 1);
        channels = to;
        break;
      }
      case 'residual':
        tensor = activated(network.add('Add', [block(tensor, channels, 3), tensor]));
        break;
      case 'concat':
        tensor = network.add('Concat', [block(tensor, channels, 1), block(tensor, channels, 3)], { axis: 1 });
        channels *= 2;
        break;
      case 'maxpool':
      case 'average':
        if (size === 1) break;
        tensor = network.add(step.kind === 'maxpool' ? 'MaxPool' : 'AveragePool', [tensor], {
          kernel_shape: [2, 2],
          strides: [2, 2],
        });
        size /= 2;
        break;
    }
  }
  if (end === 'gap') {
    tensor = network.add('GlobalAveragePool', [tensor]);
    size = 1;
  }
  tensor = network.add('Flatten', [tensor]);
  const hidden = network.gemm(tensor, channels * size * size, 6, transposed ? { transB: 1 } : {});
  const logits = network.gemm(activated(hidden), 6, 3, { alpha: { float: 0.5 }, beta: { float: 2 } });
  const output = tail.reduce((given, opType) => network.add(opType, [given]), logits);
  return network.model([{ name: 'x', axes: ['rows', 4, SIZE, SIZE] }], [{ name: output, axes: ['rows', 3] }]);
}

/** Where it went wrong once: nothing comes through the last ReLU, so that its Clip is not made needless by quantizing. */
const EXAMPLES: [Recipe][] = [
  [
    {
      seed: 30,
      steps: [{ kind: 'conv', kernel: 1, channels: 8, depthwise: false }, { kind: 'maxpool' }],
      activations: ['relu', 'relu', 'relu6', 'relu', 'relu', 'relu', 'relu', 'relu'],
      normalized: false,
      end: 'gap',
      transposed: false,
      inputSize: 0.1,
      tail: ['Relu', 'Flatten'],
    },
  ],
];

/** Each opens four sessions. */
const RUNS = Number(process.env['TEST_RUNS'] ?? 8);

test('each is sound, within its bound, and runs in integers', { timeout: 30_000 * RUNS }, async () => {
  await fc.assert(
    fc.asyncProperty(RECIPE, async (recipe) => {
      const model = build(recipe);
      expect(defectsOf(model)).toEqual([]);
      const { random } = new Network(recipe.seed + 1);
      const feeds = Array.from({ length: 3 }, () => randomFeeds('x', [4, 4, SIZE, SIZE], random, recipe.inputSize));
      const ranges = await calibrate(model, feeds, RUNNER);
      const { model: int8, notes } = compress(model, { kind: 'int8' }, ranges);

      expect(defectsOf(int8)).toEqual([]);
      expect(encodeOnnxModel(compress(model, { kind: 'int8' }, ranges).model, 'again')).toEqual(
        encodeOnnxModel(int8, 'once'),
      );
      expect(notes.filter(({ kind, opType }) => kind === 'kept' && (opType === 'Conv' || opType === 'Gemm'))).toEqual(
        [],
      );
      // What ONNX Runtime did not fuse would be slower than float.
      const operators = await countOperators(int8, RUNNER);
      const names = operators.map(({ opType }) => opType);
      for (const float of ['Conv', 'Gemm', 'FusedConv', 'FusedGemm', 'MatMul']) expect(names).not.toContain(float);

      const [bound = Number.NaN] = errorBounds(int8, ranges).values();
      const float = await outputsOf(model, feeds);
      const integer = await outputsOf(int8, feeds);
      let worst = 0;
      // The range of the logits: a ReLU behind them may leave nothing.
      const logits = ranges.get(model.graph?.node.findLast(({ opType }) => opType === 'Gemm')?.output[0] ?? '');
      const peak = Math.max(Math.abs(logits?.low ?? 0), Math.abs(logits?.high ?? 0));
      for (const [index, values] of float.entries()) {
        for (const [at, value] of values.entries()) {
          worst = Math.max(worst, Math.abs(value - (integer[index]?.[at] ?? Number.NaN)));
        }
      }
      // Sums in float32 are rounded too.
      expect(worst).toBeLessThanOrEqual(bound + 1e-4 * peak);
      // A bound on the worst case says little of a usual one.
      expect(worst).toBeLessThanOrEqual(0.25 * peak + 1e-6);
    }),
    { numRuns: RUNS, examples: EXAMPLES },
  );
});
