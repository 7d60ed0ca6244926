/** Graphs as they are in use: what of them computes in integers, and how near it stays to float. */

import { describe, expect, test } from 'vitest';
import { calibrate } from '../../src/compress/calibration.ts';
import { compress } from '../../src/compress/compress.ts';
import type { Feeds } from '../../src/compress/model-run.ts';
import type { Note } from '../../src/compress/note.ts';
import type { OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { countOperators } from '../../src/compress/optimized-model.ts';
import { languageDetector } from '../support/langid.ts';
import { argmax, fp32, outputsOf, RUNNER, randomFeeds } from '../support/model-runs.ts';
import { defectsOf, Network } from '../support/network.ts';
import { rowVerdict } from '../support/row-verdict.ts';

interface Outcome {
  readonly int8: OnnxModel;
  readonly notes: readonly Note[];
  /** By operator, after ONNX Runtime's fusion. */
  readonly operators: ReadonlyMap<string, number>;
  /** Root of the mean square of the error, as a share of the answer's. */
  readonly error: number;
}

async function quantized(model: OnnxModel, feeds: readonly Feeds[]): Promise<Outcome> {
  expect(defectsOf(model)).toEqual([]);
  const ranges = await calibrate(model, feeds, RUNNER);
  const { model: int8, notes } = compress(model, { kind: 'int8' }, ranges);
  expect(defectsOf(int8)).toEqual([]);
  const operators = new Map((await countOperators(int8, RUNNER)).map(({ opType, count }) => [opType, count]));
  const float = (await outputsOf(model, feeds)).flatMap((values) => [...values]);
  const integer = (await outputsOf(int8, feeds)).flatMap((values) => [...values]);
  const squares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value ** 2, 0);
  const error = Math.sqrt(squares(float.map((value, at) => value - (integer[at] ?? Number.NaN))) / squares(float));
  return { int8, notes, operators, error };
}

/** Names of the nodes that stayed in float, with the reason. */
function kept(notes: readonly Note[]): Map<string, string> {
  return new Map(notes.filter(({ kind }) => kind === 'kept').map(({ opType, text }) => [opType, text]));
}

describe('a residual network', () => {
  /** A stem, a block with an identity, a block that halves the picture and has a projection, an average, a classifier. */
  function residualNetwork(): OnnxModel {
    const n = new Network(7);
    const block = (x: string, from: number, to: number, stride: 1 | 2): string => {
      const first = n.add('Relu', [n.batchNorm(n.conv(x, from, to, { stride, bias: false }), to)]);
      const second = n.batchNorm(n.conv(first, to, to, { bias: false }), to);
      const way =
        from === to && stride === 1 ? x : n.batchNorm(n.conv(x, from, to, { kernel: 1, stride, bias: false }), to);
      return n.add('Relu', [n.add('Add', [second, way])]);
    };
    const stem = n.add('Relu', [n.batchNorm(n.conv('image', 3, 8, { bias: false }), 8)]);
    const pooled = n.add('MaxPool', [stem], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
    const body = block(block(pooled, 8, 8, 1), 8, 16, 2);
    const flat = n.add('Flatten', [n.add('GlobalAveragePool', [body])]);
    const logits = n.gemm(flat, 16, 5, { transB: 1 });
    return n.model([{ name: 'image', axes: ['rows', 3, 16, 16] }], [{ name: logits, axes: ['rows', 5] }]);
  }

  test('is all integers, sums and averages too', async () => {
    const { random } = new Network(3);
    const feeds = Array.from({ length: 4 }, () => randomFeeds('image', [4, 3, 16, 16], random));
    const { int8, notes, operators, error } = await quantized(residualNetwork(), feeds);
    expect(kept(notes)).toEqual(new Map());
    expect(notes.filter(({ kind }) => kind === 'folded').map(({ opType }) => opType)).toEqual(
      Array.from({ length: 6 }, () => 'BatchNormalization'),
    );
    expect(operators.get('QLinearConv')).toBe(6);
    expect(operators.get('QLinearAdd')).toBe(2);
    expect(operators.get('QLinearGlobalAveragePool')).toBe(1);
    expect(operators.get('QGemm')).toBe(1);
    // The picture comes in float: it is quantized by itself.
    expect(operators.get('QuantizeLinear')).toBe(1);
    expect(operators.has('DequantizeLinear')).toBe(false);
    expect(error).toBeLessThan(0.06);
    expect(await rowVerdict(int8, feeds)).toMatchObject({ verdict: 'independent', changed: 0 });
  });
});

describe('a transformer', () => {
  const WIDTH = 16;
  const HEADS = 2;

  /** One block: attention with two heads, and a feed-forward part with GELU, each behind a normalization. */
  function transformer(): OnnxModel {
    const n = new Network(11);
    const integers = (name: string, values: readonly number[]): string =>
      n.constant(name, BigInt64Array.from(values, BigInt), [values.length]);
    const scalar = (name: string, value: number): string => n.constant(name, Float32Array.of(value), []);
    const norm = (x: string, name: string): string =>
      n.add('LayerNormalization', [x, n.weights(`${name}_g`, [WIDTH]), n.weights(`${name}_b`, [WIDTH], 0.1)], {
        axis: -1,
      });
    const project = (x: string, from: number, to: number, name: string): string =>
      n.add('Add', [n.matmul(x, from, to), n.weights(name, [to], 0.1)]);
    const toHeads = integers('to_heads', [0, 0, HEADS, WIDTH / HEADS]);
    const normed = norm('tokens', 'n1');
    const heads = (name: string, perm: readonly number[]): string =>
      n.add('Transpose', [n.add('Reshape', [project(normed, WIDTH, WIDTH, name), toHeads])], { perm });
    const scores = n.add('MatMul', [heads('q', [0, 2, 1, 3]), heads('k', [0, 2, 3, 1])]);
    const attention = n.add('Softmax', [n.add('Div', [scores, scalar('root', Math.sqrt(WIDTH / HEADS))])], {
      axis: -1,
    });
    const mixed = n.add('Transpose', [n.add('MatMul', [attention, heads('v', [0, 2, 1, 3])])], { perm: [0, 2, 1, 3] });
    const joined = n.add('Reshape', [mixed, integers('from_heads', [0, 0, WIDTH])]);
    const first = n.add('Add', ['tokens', project(joined, WIDTH, WIDTH, 'o')]);
    const up = project(norm(first, 'n2'), WIDTH, 4 * WIDTH, 'up');
    const erf = n.add('Erf', [n.add('Div', [up, scalar('sqrt2', Math.SQRT2)])]);
    const gelu = n.add('Mul', [n.add('Mul', [up, n.add('Add', [erf, scalar('one', 1)])]), scalar('half', 0.5)]);
    const second = n.add('Add', [first, project(gelu, 4 * WIDTH, WIDTH, 'down')]);
    const pooled = n.add('ReduceMean', [second], { axes: [1], keepdims: 0 });
    const logits = n.add('Add', [n.matmul(pooled, WIDTH, 3), n.weights('c', [3], 0.1)]);
    return n.model([{ name: 'tokens', axes: ['rows', 'length', WIDTH] }], [{ name: logits, axes: ['rows', 3] }], 17);
  }

  test('projects in integers, and keeps attention, norms and sums in float by name', async () => {
    const { random } = new Network(5);
    const feeds = Array.from({ length: 4 }, () => randomFeeds('tokens', [4, 6, WIDTH], random));
    const { int8, notes, operators, error } = await quantized(transformer(), feeds);
    // Query, key, value, output, up, down: each by itself gives float32, into which its bias is added.
    expect(operators.get('MatMulIntegerToFloat')).toBe(6);
    // The classifier, which reads a matrix, took its bias.
    expect(operators.get('QGemm')).toBe(1);
    const reasons = kept(notes);
    expect(reasons.get('MatMul')).toBe('both of its factors are computed, as attention has it');
    expect(reasons.get('LayerNormalization')).toContain('no integer kernel');
    expect([...reasons.keys()]).toEqual(
      expect.arrayContaining(['LayerNormalization', 'Softmax', 'Erf', 'Add', 'Reshape', 'Transpose']),
    );
    expect(error).toBeLessThan(0.05);
    expect(await rowVerdict(int8, feeds)).toMatchObject({ verdict: 'independent', changed: 0 });
  });

  test('also answers texts whose lengths the calibration did not have', async () => {
    const { random } = new Network(6);
    const model = transformer();
    const ranges = await calibrate(model, [randomFeeds('tokens', [4, 6, WIDTH], random)], RUNNER);
    const { model: int8 } = compress(model, { kind: 'int8' }, ranges);
    const [answer] = await outputsOf(int8, [randomFeeds('tokens', [2, 9, WIDTH], random)]);
    expect(answer?.every(Number.isFinite)).toBe(true);
  });
});

describe('a mobile network', () => {
  /** Depthwise and pointwise convolutions, squeeze and excitation, HardSwish written out as exporters do. */
  function mobileNetwork(): OnnxModel {
    const n = new Network(13);
    const scalar = (name: string, value: number): string => n.constant(name, Float32Array.of(value), []);
    const limits = [scalar('three', 3), scalar('zero', 0), scalar('six', 6)] as const;
    const hardSwish = (x: string): string => {
      const gate = n.add('Clip', [n.add('Add', [x, limits[0]]), limits[1], limits[2]]);
      return n.add('Div', [n.add('Mul', [x, gate]), limits[2]]);
    };
    const stem = hardSwish(n.conv('image', 3, 8));
    const deep = n.add('Relu', [n.conv(stem, 8, 8, { group: 8 })]);
    const squeezed = n.add('Relu', [n.conv(n.add('GlobalAveragePool', [deep]), 8, 4, { kernel: 1 })]);
    const gate = n.add('HardSigmoid', [n.conv(squeezed, 4, 8, { kernel: 1 })]);
    const excited = n.add('Mul', [deep, gate]);
    const out = n.add('Relu', [n.conv(excited, 8, 8, { kernel: 1 })]);
    const logits = n.gemm(n.add('Flatten', [n.add('GlobalAveragePool', [out])]), 8, 4);
    return n.model([{ name: 'image', axes: ['rows', 3, 12, 12] }], [{ name: logits, axes: ['rows', 4] }]);
  }

  test('convolves in integers, depthwise too, with its gates in float', async () => {
    const { random } = new Network(2);
    const feeds = Array.from({ length: 4 }, () => randomFeeds('image', [4, 3, 12, 12], random));
    const { notes, operators, error } = await quantized(mobileNetwork(), feeds);
    expect(operators.get('QLinearConv')).toBe(5);
    expect(operators.get('QGemm')).toBe(1);
    expect(operators.has('Conv')).toBe(false);
    expect(kept(notes).get('HardSigmoid')).toContain('no integer kernel');
    expect(kept(notes).get('Mul')).toContain('does not come in integers');
    expect(error).toBeLessThan(0.06);
  });
});

describe('a language detector', () => {
  const SENTENCES = {
    eng: 'What language is this sentence written in?',
    deu: 'In welcher Sprache ist dieser Satz geschrieben?',
    fra: 'Dans quelle langue est écrite cette phrase?',
    ita: 'In che lingua è scritta questa frase?',
    rus: 'На каком языке написано это предложение?',
    tur: 'Bu cümle hangi dilde yazılmıştır?',
    fin: 'Millä kielellä tämä lause on kirjoitettu?',
    jpn: 'この文は何語で書かれていますか。',
    pol: 'W jakim języku jest napisane to zdanie?',
    por: 'Em que língua está escrita esta frase?',
    spa: '¿En qué idioma está escrita esta oración?',
    ces: 'V jakém jazyce je tato věta napsána?',
  };

  test('knows nearly the same languages in integers, and all where its last layer stays in float', async () => {
    const { model, languages, features } = await languageDetector();
    const expected = Object.keys(SENTENCES);
    const feeds = Object.values(SENTENCES).map((sentence) => fp32('ngrams', [1, 620], features(sentence)));
    const named = async (of: OnnxModel) => (await outputsOf(of, feeds)).map((answer) => languages[argmax(answer)]);
    expect(await named(model)).toEqual(expected);

    const ranges = await calibrate(model, feeds, RUNNER);
    const { model: int8, notes } = compress(model, { kind: 'int8' }, ranges);
    const right = (await named(int8)).filter((language, at) => language === expected[at]);
    expect(right.length).toBeGreaterThanOrEqual(10);
    expect((await countOperators(int8, RUNNER)).find(({ opType }) => opType === 'QGemm')?.count).toBe(2);
    expect(await rowVerdict(int8, feeds)).toMatchObject({ verdict: 'independent', changed: 0 });

    // Its logits are near -900, and differ by few: an eighth of a percent decides.
    const last = notes.findLast(({ opType }) => opType === 'Gemm')?.node ?? '';
    const { model: mixed, notes: why } = compress(model, { kind: 'int8' }, ranges, { keep: new Set([last]) });
    expect(await named(mixed)).toEqual(expected);
    expect(why).toContainEqual({ node: last, opType: 'Gemm', kind: 'kept', text: 'it is to stay in float' });
  });

  test('has no node that is not there', async () => {
    const { model } = await languageDetector();
    const keep = new Set(['head']);
    expect(() => compress(model, { kind: 'int8' }, new Map(), { keep })).toThrow("there is no node 'head' to keep");
  });
});

describe('an activation behind a product', () => {
  /** A product, what follows it, and whether a second one reads that. */
  function product(build: (n: Network, logits: string) => string): OnnxModel {
    const n = new Network(17);
    const output = build(n, n.gemm('x', 12, 8));
    return n.model([{ name: 'x', axes: ['rows', 12] }], [{ name: output, axes: ['rows', 8] }]);
  }

  const CASES: readonly [string, (n: Network, logits: string) => string][] = [
    ['that is the answer', (n, logits) => n.add('Relu', [logits])],
    ['that float alone reads', (n, logits) => n.add('Softmax', [n.add('Relu', [logits])], { axis: 1 })],
    [
      'that float reads twice',
      (n, logits) => {
        const relu = n.add('Relu', [logits]);
        return n.add('Add', [relu, n.add('Tanh', [relu])]);
      },
    ],
    [
      'that cuts off little',
      (n, logits) => {
        const limits = [-1, 0.5].map((limit, at) => n.constant(`limit${at}`, Float32Array.of(limit), []));
        return n.add('Tanh', [n.add('Clip', [logits, ...limits])]);
      },
    ],
    ['that another product reads', (n, logits) => n.gemm(n.add('Relu', [logits]), 8, 8)],
  ];

  test.each(CASES)('%s leaves it an integer kernel', async (_, build) => {
    const { random } = new Network(1);
    const { operators, error } = await quantized(product(build), [randomFeeds('x', [16, 12], random)]);
    expect(operators.get('QGemm')).toBeGreaterThanOrEqual(1);
    for (const float of ['Gemm', 'FusedGemm', 'MatMul']) expect(operators.has(float)).toBe(false);
    expect(error).toBeLessThan(0.05);
  });
});

describe('an activation between convolutions, behind', () => {
  const CASES: readonly [string, string, (n: Network, x: string) => string][] = [
    ['a sum', 'QLinearAdd', (n, x) => n.add('Add', [x, n.conv(x, 4, 4)])],
    ['a product', 'QLinearMul', (n, x) => n.add('Mul', [x, n.conv(x, 4, 4)])],
    [
      'an average',
      'QLinearAveragePool',
      (n, x) => n.add('AveragePool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    ],
    ['a concatenation', 'QLinearConcat', (n, x) => n.add('Concat', [n.conv(x, 4, 2), n.conv(x, 4, 2)], { axis: 1 })],
    ['a leaky activation', 'QLinearLeakyRelu', (n, x) => n.add('LeakyRelu', [x])],
    ['a maximum', 'NhwcMaxPool', (n, x) => n.add('MaxPool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })],
  ];

  test.each(CASES)('%s: %s', async (_, kernel, build) => {
    const n = new Network(23);
    const middle = build(n, n.conv('x', 4, 4));
    const out = n.conv(n.add('Relu', [middle]), 4, 4);
    const logits = n.gemm(n.add('Flatten', [n.add('GlobalAveragePool', [out])]), 4, 3);
    const model = n.model([{ name: 'x', axes: ['rows', 4, 6, 6] }], [{ name: logits, axes: ['rows', 3] }]);
    const { operators, notes, error } = await quantized(model, [randomFeeds('x', [8, 4, 6, 6], n.random)]);
    expect([...operators.keys()]).toContain(kernel);
    expect([...operators.keys()]).not.toContain('Conv');
    // Nothing is said to be in integers that is not.
    const relu = notes.find(({ opType }) => opType === 'Relu')?.kind;
    if (relu === 'quantized') expect(operators.has('Relu')).toBe(false);
    expect(error).toBeLessThan(0.1);
  });

  test('a product without a bias', async () => {
    const n = new Network(29);
    const hidden = n.add('Relu', [n.matmul('x', 8, 8)]);
    const model = n.model(
      [{ name: 'x', axes: ['rows', 5, 8] }],
      [{ name: n.matmul(hidden, 8, 4), axes: ['rows', 5, 4] }],
    );
    const { operators } = await quantized(model, [randomFeeds('x', [4, 5, 8], n.random)]);
    expect(operators.get('QLinearMatMul')).toBe(1);
    expect(operators.get('MatMulIntegerToFloat')).toBe(1);
  });
});
