/** Strings that ONNX Runtime cannot hold: every door refuses them, and names the input and the element. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, type StreamRequest } from '../../src/client/inference-client.ts';
import { decodeTensor } from '../../src/client/tensor.ts';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const CHAIN = `
  platform: "ensemble"
  max_batch_size: 8
  input { name: "in" data_type: TYPE_STRING dims: 4 }
  output { name: "out" data_type: TYPE_STRING dims: 4 }
  ensemble_scheduling { step {
    model_name: "texts" model_version: -1
    input_map { key: "input" value: "in" } output_map { key: "output" value: "out" }
  } }`;

const fixture = useServer({
  texts: identityModel('BYTES'),
  chain: { versions: { 1: undefined }, files: { 'config.pbtxt': CHAIN } },
});

const ELEMENTS = {
  'bytes that are not UTF-8': Buffer.of(0xff, 0xfe),
  'a character that is cut off': Buffer.of(0xe4, 0xbd),
  'half of a surrogate pair': Buffer.of(0xed, 0xa0, 0x80),
  NUL: Buffer.from('a\0b'),
};

const MODELS = [
  { model: 'texts', name: 'input' },
  { model: 'chain', name: 'in' },
];

describe.each(MODELS)('an element of the input $name of $model', ({ model, name }) => {
  const input = { name, datatype: 'BYTES', shape: [1, 4] };
  const expected = new RegExp(`element 2 of input '${name}'.* (is not valid UTF-8|holds a NUL byte)`);

  const post = async (body: Buffer, headers: Record<string, string> = {}): Promise<unknown> => {
    const response = await fetch(`${fixture.server.http}/v2/models/${model}/infer`, { method: 'POST', body, headers });
    return { status: response.status, ...((await response.json()) as object) };
  };

  test.each(Object.entries(ELEMENTS))('must not be %s', async (_, element) => {
    const elements = [Buffer.from('a'), Buffer.from('ä'), element, Buffer.from('d')];
    const raw = encodeBytesTensor(elements);
    const good = encodeBytesTensor(elements.with(2, Buffer.from('c')));
    const refusal = { code: 'INVALID_ARGUMENT', text: expect.stringMatching(expected) };
    const infer = (given: object): Promise<unknown> =>
      fixture.client.refusal('ModelInfer', { model_name: model, ...given });
    expect(await infer({ inputs: [input], raw_input_contents: [raw] })).toEqual(refusal);
    expect(await infer({ inputs: [{ ...input, contents: { bytes_contents: elements } }] })).toEqual(refusal);

    const head = Buffer.from(JSON.stringify({ inputs: [{ ...input, parameters: { binary_data_size: raw.length } }] }));
    expect(
      await post(Buffer.concat([head, raw]), { 'inference-header-content-length': String(head.length) }),
    ).toMatchObject({
      status: 400,
      reason: 'invalid_request',
      error: expect.stringMatching(expected),
    });

    using client = new InferenceClient(fixture.server.grpc);
    async function* requests(): AsyncGenerator<StreamRequest> {
      yield { model, id: 'bad', inputs: { [name]: decodeTensor('BYTES', [1, 4], raw) } };
      yield { model, id: 'good', inputs: { [name]: decodeTensor('BYTES', [1, 4], good) } };
    }
    const answers: string[] = [];
    for await (const answer of client.stream(requests())) {
      answers.push(answer.kind === 'error' ? `${answer.id}: ${answer.error.details}` : answer.id);
    }
    expect(answers).toEqual([expect.stringMatching(expected), 'good']);
  });

  test.each([
    ['raw bytes', Buffer.of(0xff)],
    ['an escape for half of a surrogate pair', Buffer.from('\\ud800')],
    ['an escape for NUL', Buffer.from('\\u0000')],
  ])('must not come in JSON as %s', async (_, spelled) => {
    const [before = '', after = ''] = JSON.stringify({ inputs: [{ ...input, data: ['a', 'b', 'HERE', 'd'] }] }).split(
      'HERE',
    );
    expect(await post(Buffer.concat([Buffer.from(before), spelled, Buffer.from(after)]))).toMatchObject({
      status: 400,
      error: expect.stringMatching(
        new RegExp(`input '${name}'.*element 2 is not UTF-8|element 2 of input '${name}'.* NUL`),
      ),
    });
  });
});
