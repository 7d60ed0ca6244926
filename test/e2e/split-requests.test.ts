/** Requests with more rows than `max_batch_size`: split, run in batches, and answered as one, through every door. */

import { describe, expect, test, vi } from 'vitest';
import { tensor } from '../../src/client/inference-client.ts';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype } from '../../src/wire/tensor.ts';
import { readMetrics } from '../faults/observation.ts';
import { bytesOf } from '../support/bytes-of.ts';
import { DOORS } from '../support/caller.ts';
import {
  accumulatorModel,
  additionModel,
  gatherModel,
  identityModel,
  mlpModel,
  rowReversingModel,
  sumModel,
} from '../support/onnx-models.ts';
import { below, randomFrom } from '../support/random.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';
import type { Message } from '../support/stock-client.ts';
import { floats } from './protocol-requests.ts';

const ONE = { instance_group: [{ count: 1 }] };

const DATATYPES = [...(Object.keys(DATATYPE_BYTES) as Datatype[]), 'BYTES' as const];

function echo(datatype: Datatype, config: object = {}): ModelFiles {
  return { versions: { 1: identityModel(datatype, ['batch', 2]) }, config: { max_batch_size: 4, ...ONE, ...config } };
}

function chain(step: string, config: object): ModelFiles {
  const tensorOf = (name: string): object => ({ name, data_type: 'TYPE_FP32', dims: [2] });
  return {
    versions: { 1: undefined },
    config: {
      platform: 'ensemble',
      input: [tensorOf('x')],
      output: [tensorOf('y')],
      ensemble_scheduling: {
        step: [
          { model_name: step, input_map: { input: 'x' }, output_map: { output: 'between' } },
          { model_name: step, input_map: { input: 'between' }, output_map: { output: 'y' } },
        ],
      },
      ...config,
    },
  };
}

const fixture = useServer({
  ...Object.fromEntries(DATATYPES.map((datatype) => [`echo_${datatype}`, echo(datatype)])),
  two: { versions: { 1: identityModel('FP32', ['batch', 2]) }, config: { max_batch_size: 4 } },
  sum: {
    versions: { 1: sumModel() },
    config: {
      ...ONE,
      max_batch_size: 4,
      output: [{ name: 'sum', label_filename: 'labels.txt' }, { name: 'difference' }],
    },
    files: { 'labels.txt': 'cat\ndog\n' },
  },
  columns: {
    versions: { 1: identityModel('FP32', [2, 'batch']) },
    config: { ...ONE, max_batch_size: 4, tensorgate: { batch_axes: { input: 1, output: 1 } } },
  },
  gather: { versions: { 1: gatherModel(5) }, config: { ...ONE, max_batch_size: 2 } },
  mlp: { versions: { 1: mlpModel() }, config: { max_batch_size: 4 } },
  counted: echo('FP32'),
  cached: echo('FP32', { response_cache: { enable: true } }),
  shadowed: {
    versions: { 1: additionModel(1), 2: additionModel(1) },
    config: { ...ONE, max_batch_size: 4, tensorgate: { traffic: { split: { 1: 1 }, shadow: { version: 2 } } } },
  },
  single: echo('FP32', { max_batch_size: 1 }),
  mixed: { versions: { 1: rowReversingModel() }, config: { ...ONE, max_batch_size: 1 } },
  assumed: { versions: { 1: rowReversingModel() }, config: { ...ONE, max_batch_size: 2 } },
  unsplit: echo('FP32', { tensorgate: { split: false } }),
  whole: echo('FP32', { max_batch_size: 0 }),
  states: {
    versions: { 1: accumulatorModel() },
    config: {
      ...ONE,
      max_batch_size: 4,
      sequence_batching: {
        state: [{ input_name: 'total', output_name: 'total_out', data_type: 'TYPE_FP32', dims: [1] }],
      },
    },
  },
  chained: chain('echo_FP32', { max_batch_size: 4 }),
  wide_chain: chain('echo_FP32', { max_batch_size: 64 }),
  unsplit_chain: chain('echo_FP32', { max_batch_size: 4, tensorgate: { split: false } }),
});

const ROWS = 11;
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

function rawOf(datatype: Datatype, elements: number): Buffer {
  if (datatype === 'BYTES') {
    return Buffer.from(encodeBytesTensor(upTo(elements).map((index) => Buffer.from('é'.repeat(index % 5) + index))));
  }
  const size = DATATYPE_BYTES[datatype] ?? 0;
  // 0 and 1 are values of all datatypes, in any of their bytes.
  return Buffer.from(upTo(elements).flatMap((index) => upTo(size).map((byte) => (byte === 0 ? (index * 7) % 2 : 0))));
}

function echoRequest(
  model: string,
  datatype: Datatype,
  rows: number,
  contents: Buffer = rawOf(datatype, rows * 2),
): Message {
  const shape = [rows, 2];
  return { model_name: model, id: 'r', inputs: [{ name: 'input', datatype, shape }], raw_input_contents: [contents] };
}

async function statisticsOf(name: string): Promise<Message> {
  const { model_stats } = await fixture.client.call('ModelStatistics', { name });
  return model_stats[0];
}

describe('a request with more rows than max_batch_size', () => {
  test.each(DATATYPES)('in %s is answered byte by byte as it came, raw and over a stream', async (datatype) => {
    const request = echoRequest(`echo_${datatype}`, datatype, ROWS);
    const answer = await fixture.client.infer(request);
    expect(answer).toMatchObject({ id: 'r', outputs: [{ name: 'output', datatype, shape: ['11', '2'] }] });
    expect(Buffer.compare(answer['raw_output_contents'][0], request['raw_input_contents'][0])).toBe(0);
    const stream = fixture.client.open('ModelStreamInfer');
    for (const id of ['1', '2']) stream.send({ ...request, id });
    stream.halfClose();
    for (const [index, { infer_response }] of (await stream.rest()).entries()) {
      expect(infer_response.id).toBe(String(index + 1));
      expect(Buffer.compare(infer_response.raw_output_contents[0], request['raw_input_contents'][0])).toBe(0);
    }
    expect(await stream.ended).toBe('OK');
  });

  test.each(DOORS)(
    'has the same answer through $name, whichever its number of rows, on all instances',
    async (door) => {
      using caller = door.connect(fixture.server);
      await Promise.all(
        [1, 3, 4, 5, 8, 9, 16, 63, 64, 65].map(async (rows) => {
          const values = Float32Array.from(upTo(rows * 2), (value) => value + rows / 128);
          const result = await caller.infer('two', { input: tensor.fp32(values, [rows, 2]) });
          const { shape, data } = result.output('output', 'FP32');
          expect(shape).toEqual([rows, 2]);
          expect(Buffer.compare(bytesOf(data), bytesOf(values))).toBe(0);
        }),
      );
    },
  );

  test('has the bytes of any other division of its rows', async () => {
    const infer = async (values: readonly number[]): Promise<Buffer> => {
      const inputs = [{ name: 'input', datatype: 'FP32', shape: [values.length / 4, 4] }];
      const answer = await fixture.client.infer({ model_name: 'mlp', inputs, raw_input_contents: [floats(...values)] });
      return answer['raw_output_contents'][0];
    };
    for (let seed = 1; seed <= 12; seed++) {
      const random = randomFrom(seed);
      const values = upTo(4 * (1 + below(40, random))).map(() => below(2_000, random) - 1_000);
      const pieces: Promise<Buffer>[] = [];
      for (let left = values; left.length > 0; ) {
        const cut = 4 * (1 + below(9, random));
        pieces.push(infer(left.slice(0, cut)));
        left = left.slice(cut);
      }
      expect(await infer(values)).toEqual(Buffer.concat(await Promise.all(pieces)));
    }
  });

  test('may have typed contents, texts among them', async () => {
    const texts = upTo(22).map((index) => Buffer.from(`text ${index}`));
    const inputs = [{ name: 'input', datatype: 'BYTES', shape: [11, 2], contents: { bytes_contents: texts } }];
    const { outputs } = await fixture.client.infer({ model_name: 'echo_BYTES', inputs });
    expect(outputs[0].contents.bytes_contents.map(String)).toEqual(texts.map(String));
  });

  test('is answered over REST in JSON and in binary', async () => {
    const data = upTo(22).map((value) => value / 2);
    const url = `${fixture.server.http}/v2/models/echo_FP32/infer`;
    const input = { name: 'input', datatype: 'FP32', shape: [11, 2] };
    const json = await fetch(url, { method: 'POST', body: JSON.stringify({ inputs: [{ ...input, data }] }) });
    expect(await json.json()).toMatchObject({ outputs: [{ name: 'output', shape: [11, 2], data }] });
    const head = Buffer.from(
      JSON.stringify({
        inputs: [{ ...input, parameters: { binary_data_size: 88 } }],
        parameters: { binary_data_output: true },
      }),
    );
    const raw = floats(...data);
    const headers = { 'inference-header-content-length': String(head.byteLength) };
    const binary = await fetch(url, { method: 'POST', headers, body: Buffer.concat([head, raw]) });
    const body = Buffer.from(await binary.arrayBuffer());
    expect(body.subarray(Number(binary.headers.get('inference-header-content-length')))).toEqual(raw);
  });

  test('gives the outputs that it asks for, also as classes', async () => {
    const rows = 6;
    const inputs = ['a', 'b'].map((name) => ({ name, datatype: 'FP32', shape: [rows, 2] }));
    const a = upTo(2 * rows);
    const raw_input_contents = [floats(...a), floats(...a.map((value) => 10 * (value % 3)))];
    const request = { model_name: 'sum', inputs, raw_input_contents };
    const difference = await fixture.client.infer({ ...request, outputs: [{ name: 'difference' }] });
    expect(difference['outputs']).toMatchObject([{ name: 'difference', shape: ['6', '2'] }]);
    expect(difference['raw_output_contents'][0]).toEqual(floats(...a.map((value) => value - 10 * (value % 3))));
    const classification = { int64_param: '1' };
    const classes = await fixture.client.infer({
      ...request,
      outputs: [{ name: 'sum', parameters: { classification } }],
    });
    expect(classes['outputs']).toMatchObject([{ name: 'sum', datatype: 'BYTES', shape: ['6', '1'] }]);
  });

  test('may have its rows on another axis', async () => {
    const raw = floats(...upTo(22));
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [2, 11] }];
    const answer = await fixture.client.infer({ model_name: 'columns', inputs, raw_input_contents: [raw] });
    expect(answer['outputs'][0].shape).toEqual(['2', '11']);
    expect(answer['raw_output_contents'][0]).toEqual(raw);
    expect((await statisticsOf('columns'))['execution_count']).toBe('3');
  });

  test('counts as one request, with its rows, and as many runs as it took', async () => {
    await fixture.client.infer(echoRequest('counted', 'FP32', ROWS));
    const statistics = await statisticsOf('counted');
    expect(statistics).toMatchObject({ inference_count: '11', execution_count: '3' });
    const { success, fail, queue, compute_infer } = statistics['inference_stats'];
    expect([success, fail, queue, compute_infer].map(({ count }) => count)).toEqual(['1', '0', '1', '1']);
    const sizes = statistics['batch_stats'].map((batch: Message) => [
      batch['batch_size'],
      batch['compute_infer'].count,
    ]);
    expect(sizes).toEqual([
      ['3', '1'],
      ['4', '2'],
    ]);
  });

  test('is one entry of a response cache', async () => {
    const request = echoRequest('cached', 'FP32', ROWS, floats(...upTo(22)));
    const first = await fixture.client.infer(request);
    expect(await fixture.client.infer(request)).toEqual(first);
    const { execution_count, inference_stats } = await statisticsOf('cached');
    expect([execution_count, inference_stats.cache_hit.count, inference_stats.cache_miss.count]).toEqual([
      '3',
      '1',
      '1',
    ]);
  });

  test('goes whole to a version, and whole to its shadow', async () => {
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [ROWS, 1] }];
    const request = { model_name: 'shadowed', inputs, raw_input_contents: [floats(...upTo(ROWS))] };
    const { model_version, raw_output_contents } = await fixture.client.infer(request);
    expect(model_version).toBe('1');
    expect(raw_output_contents[0]).toEqual(floats(...upTo(ROWS).map((value) => value + 1)));
    const compared = async (result: string): Promise<number> => {
      const labels = { model: 'shadowed', primary: '1', shadow: '2', result };
      return (await readMetrics(fixture.server))('tensorgate_shadow_comparisons_total', labels);
    };
    // A copy may be shed while the server is busy.
    await vi.waitUntil(
      async () => {
        if ((await compared('equal')) > 0) return true;
        await fixture.client.infer(request);
        return false;
      },
      { timeout: 20_000, interval: 200 },
    );
    expect(await compared('different')).toBe(0);
  });

  test.each(['chained', 'wide_chain'])('goes through an ensemble as one, whose steps split it: %s', async (model) => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [ROWS, 2] }];
    const raw = floats(...upTo(22));
    const answer = await fixture.client.infer({ model_name: model, inputs, raw_input_contents: [raw] });
    expect(answer['outputs']).toMatchObject([{ name: 'y', shape: ['11', '2'] }]);
    expect(answer['raw_output_contents'][0]).toEqual(raw);
    expect(await statisticsOf(model)).toMatchObject({ inference_count: '11', execution_count: '1' });
  });

  test('runs row by row where a batch has one row', async () => {
    const raw = floats(...upTo(6));
    const answer = await fixture.client.infer(echoRequest('single', 'FP32', 3, raw));
    expect(answer['raw_output_contents'][0]).toEqual(raw);
    expect((await statisticsOf('single'))['execution_count']).toBe('3');
  });

  test('fails once, with the error of its bad row, while others are answered', async () => {
    const request = (values: readonly string[]): Message => {
      const inputs = [
        { name: 'indices', datatype: 'INT64', shape: [values.length / 2, 2], contents: { int64_contents: values } },
      ];
      return { model_name: 'gather', inputs };
    };
    const good = fixture.client.infer(request(Array<string>(14).fill('1')));
    const bad = await fixture.client.refusal('ModelInfer', request([...Array<string>(9).fill('1'), '99', '1', '1']));
    expect(bad).toMatchObject({ code: 'INVALID_ARGUMENT', text: expect.stringContaining('refused this input') });
    expect((await good)['outputs']).toMatchObject([{ shape: ['7', '2', '3'] }]);
    expect((await statisticsOf('gather'))['inference_stats']).toMatchObject({
      success: { count: '1' },
      fail: { count: '1' },
    });
  });

  test('finds in ModelConfig how many rows it may have', async () => {
    const maxRows = async (name: string): Promise<unknown> => {
      const { config } = await fixture.client.call('ModelConfig', { name });
      return [config.max_batch_size, config.parameters.max_request_rows?.string_value];
    };
    expect(await maxRows('counted')).toEqual([4, '4096']);
    expect(await maxRows('wide_chain')).toEqual([64, '4096']);
    expect(await maxRows('unsplit')).toEqual([4, undefined]);
  });
});

describe('a request is refused in the words of Triton', () => {
  const refusalOf = async (model: string, rows: number, inputs: Message = {}): Promise<Message> => {
    const request = echoRequest(model, 'FP32', rows, Buffer.alloc(rows * 8));
    request['inputs'] = [{ ...request['inputs'][0], ...inputs }];
    return fixture.client.refusal('ModelInfer', request);
  };
  const tooMany = (most: number, model: string): object => ({
    code: 'INVALID_ARGUMENT',
    text: expect.stringContaining(`inference request batch-size must be <= ${most} for '${model}'`),
  });

  test('where the configuration says split: false', async () => {
    expect(await refusalOf('unsplit', 5)).toEqual(tooMany(4, 'unsplit'));
    expect(await refusalOf('unsplit_chain', 5, { name: 'x' })).toEqual(tooMany(4, 'unsplit_chain'));
  });

  test('where it has more rows than 1024 batches', async () => {
    const most = await fixture.client.infer(echoRequest('single', 'FP32', 1024, Buffer.alloc(8192)));
    expect(most['outputs'][0].shape).toEqual(['1024', '2']);
    expect(await refusalOf('single', 1025)).toEqual(tooMany(1024, 'single'));
  });

  test('where the rows of single runs are not independent', async () => {
    expect(await refusalOf('mixed', 2)).toEqual(tooMany(1, 'mixed'));
  });

  test('where it is a request of a sequence', async () => {
    const refusal = await refusalOf('states', 5, { name: 'x', shape: [5, 1] });
    expect(refusal['code']).toBe('INVALID_ARGUMENT');
    expect(refusal['text']).toMatch(/batch-size must be <= 4|must specify batch-size 1/);
  });
});

test('a model that does not batch takes all rows in one run, as they are', async () => {
  const reversed = await fixture.client.infer(echoRequest('assumed', 'FP32', 5, floats(...upTo(10))));
  expect(reversed['raw_output_contents'][0]).toEqual(floats(8, 9, 6, 7, 4, 5, 2, 3, 0, 1));
  await fixture.client.infer(echoRequest('whole', 'FP32', 5, floats(...upTo(10))));
  expect(await statisticsOf('whole')).toMatchObject({ inference_count: '1', execution_count: '1' });
});
