/**
 * The ONNX project's own operator tests, as Debian packs them (libonnx-testdata): every model goes through the whole server,
 * over gRPC, and has to give the outputs that come with it.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import { type AnyTensor, InferenceClient, InferenceError } from '../../src/client/inference-client.ts';
import type { ModelMetadata } from '../../src/client/inference-service.ts';
import { decodeTensor, encodeTensor } from '../../src/client/tensor.ts';
import { fromBf16 } from '../../src/wire/half-precision.ts';
import { type CaseData, type ExpectedTensor, listCases, type OnnxCase, readCase } from '../support/onnx-test-data.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { onnxTestData } from '../tools/tools.ts';

const root = onnxTestData();
if (root === undefined) {
  console.warn('SKIPPED: the conformance of ONNX models: libonnx-testdata is not installed (test/tools/setup.sh does)');
}

/** Models that one server has, in two runner processes, which load side by side. */
const GROUP = 180;

/** How often a model runs whose outputs are not those expected: one that draws at random gives others sooner or later. */
const REPEATS = 8;

/** Models for which ONNX Runtime gives something else, and what. */
const DIFFERENT = new Map([
  ['node-test_cast_FLOAT_to_BFLOAT16', 'rounds to the nearest BF16 where the file truncates'],
  ['node-test_castlike_BFLOAT16_to_FLOAT', 'gets an input of another shape than its model says'],
  ['node-test_castlike_BFLOAT16_to_FLOAT_expanded', 'the same'],
  ['node-test_castlike_FLOAT_to_BFLOAT16', 'the same'],
  ['node-test_castlike_FLOAT_to_BFLOAT16_expanded', 'the same'],
  ['node-test_cast_FLOAT_to_STRING', 'prints nine digits where numpy prints the fewest that suffice'],
  ['node-test_castlike_FLOAT_to_STRING', 'the same'],
  ['node-test_castlike_FLOAT_to_STRING_expanded', 'the same'],
  ['node-test_dft', 'sums hundreds in single precision, and misses 0 by 1.4e-4'],
  ['node-test_dft_axis', 'the same'],
  [
    'node-test_maxunpool_export_with_output_shape',
    'counts places in the larger output, where ONNX counts in the smaller',
  ],
  ['node-test_resize_downsample_scales_cubic_align_corners', 'takes the scale from the rounded sizes'],
  ['node-test_resize_downsample_scales_linear_align_corners', 'the same'],
]);

/** Why models are refused when they are loaded, by what the server says of them. */
const REFUSALS = new Map([
  ['holds a sequence or an optional, no tensor', /and only tensors can be served/],
  ['an element type without a datatype', /is a tensor of (FLOAT|U?INT|COMPLEX)\w+: /],
  ['ONNX Runtime has no CPU kernel for it', /Could not find an implementation for \w+\(\d+\)/],
  ['a training operator', /ai\.onnx\.preview\.training:\w+\(-1\) is not a registered/],
  ['a recurrent operator with the batch first', /layout_ == 0 was false/],
  ['a locale that this machine may lack', /StringNormalizer of the model needs the locale/],
]);

/** Measured with ONNX Runtime 1.30; one fewer is a regression. */
const MIN_PASSED = 963;

type Verdict =
  | { readonly kind: 'passed' }
  /** It does not load. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Two runs differ. */
  | { readonly kind: 'random' }
  | { readonly kind: 'failed'; readonly reason: string };

async function judgeAll(cases: readonly OnnxCase[]): Promise<Map<string, Verdict>> {
  const verdicts = new Map<string, Verdict>();
  for (let start = 0; start < cases.length; start += GROUP) {
    const group = cases.slice(start, start + GROUP);
    using repository = new Repository();
    for (const [index, { name, directory }] of group.entries()) {
      repository.link(name, directory, {
        instance_group: [{ count: 1, kind: 'KIND_CPU' }],
        tensorgate: { runner: `conformance-${index % 2}` },
      });
    }
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 60_000 });
    for (const each of group) verdicts.set(each.name, await judge(each, client));
  }
  return verdicts;
}

async function judge(each: OnnxCase, client: InferenceClient): Promise<Verdict> {
  let metadata: ModelMetadata;
  try {
    metadata = await client.modelMetadata(each.name);
  } catch (error) {
    if (error instanceof InferenceError && error.status === 'UNAVAILABLE')
      return { kind: 'refused', reason: error.details };
    throw error;
  }
  try {
    const data = inDatatypesOf(metadata, readCase(each));
    const first = await run(each, data, client);
    const difference = compare(data.outputs, first);
    if (difference === undefined) return { kind: 'passed' };
    for (let repeat = 1; repeat < REPEATS; repeat++) {
      const again = await run(each, data, client);
      if (![...first].every(([name, output]) => sameBytes(output, again.get(name)))) return { kind: 'random' };
    }
    return { kind: 'failed', reason: difference };
  } catch (error) {
    return { kind: 'failed', reason: String(error) };
  }
}

/** Some files hold the bits of BF16 elements as UINT16. */
function inDatatypesOf({ inputs, outputs }: ModelMetadata, data: CaseData): CaseData {
  const narrow = new Set([...inputs, ...outputs].filter(({ datatype }) => datatype === 'BF16').map(({ name }) => name));
  const read = (tensor: ExpectedTensor): ExpectedTensor =>
    narrow.has(tensor.name) && tensor.datatype === 'UINT16' ? { ...tensor, datatype: 'BF16' } : tensor;
  return { inputs: data.inputs.map(read), outputs: data.outputs.map(read) };
}

async function run(
  { name }: OnnxCase,
  { inputs }: CaseData,
  client: InferenceClient,
): Promise<ReadonlyMap<string, AnyTensor>> {
  const tensors = inputs.map((input) => [input.name, decodeTensor(input.datatype, input.shape, input.raw)] as const);
  return (await client.infer(name, Object.fromEntries(tensors))).outputs;
}

function sameBytes(a: AnyTensor, b: AnyTensor | undefined): boolean {
  return b !== undefined && Buffer.compare(encodeTensor(a), encodeTensor(b)) === 0;
}

/** What differs first, if anything does. */
function compare(wanted: readonly ExpectedTensor[], got: ReadonlyMap<string, AnyTensor>): string | undefined {
  for (const { name, datatype, shape, raw } of wanted) {
    const output = got.get(name);
    if (output?.datatype !== datatype || String(output.shape) !== String(shape)) {
      return `${name} is ${output?.datatype} [${output?.shape}], not ${datatype} [${shape}]`;
    }
    const expected = decodeTensor(datatype, shape, raw);
    if (!isClose(output, expected)) return `the elements of ${name} (${datatype} [${shape}]) differ`;
  }
  return undefined;
}

/** The same bytes, or floats that differ by no more than rounding: what a sum of many products may lose. */
function isClose(got: AnyTensor, wanted: AnyTensor): boolean {
  const tolerance = { FP64: 1e-7, FP32: 1e-4, FP16: 1e-2, BF16: 0 }[got.datatype as string];
  if (tolerance === undefined) return sameBytes(got, wanted);
  const [values, expected] = [floatsOf(got), floatsOf(wanted)];
  return values.every((value, index) => {
    const other = expected[index] ?? Number.NaN;
    return (
      Object.is(value, other) || value === other || Math.abs(value - other) <= tolerance * Math.max(1, Math.abs(other))
    );
  });
}

function floatsOf({ datatype, data }: AnyTensor): readonly number[] {
  if (datatype === 'BF16') return Array.from(data as Uint16Array, fromBf16);
  if (datatype === 'FP16') return Array.from(new Float16Array(data.buffer, data.byteOffset, data.length));
  return Array.from(data as Float32Array | Float64Array);
}

describe.skipIf(root === undefined)('the models of the ONNX project', () => {
  let verdicts: Map<string, Verdict>;

  beforeAll(async () => {
    verdicts = await judgeAll(listCases(root ?? ''));
    console.log(summarize(verdicts));
  }, 600_000);

  test('every model that loads gives the outputs that come with it, but for those where ONNX Runtime is known to differ', () => {
    const failed = [...verdicts].filter(([name, { kind }]) => kind === 'failed' && !DIFFERENT.has(name));
    expect(failed).toEqual([]);
    expect(namesOf(verdicts, 'passed').length).toBeGreaterThanOrEqual(MIN_PASSED);
  });

  test('every model that does not load says why', () => {
    const unexplained = [...verdicts].filter(
      ([, verdict]) => verdict.kind === 'refused' && causeOf(verdict.reason) === undefined,
    );
    expect(unexplained).toEqual([]);
  });

  test('what differs from run to run is what draws at random', () => {
    const names = namesOf(verdicts, 'random');
    expect(names.filter((name) => !/bernoulli|training_dropout/.test(name))).toEqual([]);
  });
});

function namesOf(verdicts: ReadonlyMap<string, Verdict>, kind: Verdict['kind']): string[] {
  return [...verdicts].filter(([, verdict]) => verdict.kind === kind).map(([name]) => name);
}

function causeOf(reason: string): string | undefined {
  for (const [cause, text] of REFUSALS) if (text.test(reason)) return cause;
  return undefined;
}

function summarize(verdicts: ReadonlyMap<string, Verdict>): string {
  const refused = [...verdicts.values()].filter((verdict) => verdict.kind === 'refused');
  const causes = [...Map.groupBy(refused, ({ reason }) => causeOf(reason) ?? 'unexplained')];
  const count = (kind: Verdict['kind']): number => namesOf(verdicts, kind).length;
  return [
    `${verdicts.size} models: ${verdicts.size - refused.length} ran, ${count('passed')} passed, ${count('random')} draw at random, ${count('failed')} differ`,
    `${refused.length} were refused when they were loaded:`,
    ...causes.map(([cause, models]) => `  ${String(models.length).padStart(3)}  ${cause}`),
  ].join('\n');
}
