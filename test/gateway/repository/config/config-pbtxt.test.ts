import { expect, test } from 'vitest';
import { readPbtxt } from '../../../../src/gateway/repository/config/config-pbtxt.ts';

function read(text: string): unknown {
  const read = readPbtxt(text);
  if (read.kind === 'problems') throw new Error(read.problems.map(({ message }) => message).join('\n'));
  return read.document.content;
}

test('a config.pbtxt may have scalars, lists, messages, maps and enums at any depth', () => {
  const text = `
    name: "m"
    max_batch_size: 8
    input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] reshape { shape: [ 3 ] } } ]
    instance_group { count: 2 kind: KIND_GPU gpus: [ 0, 1 ] }
    dynamic_batching {
      preferred_batch_size: [ 4, 8 ]
      priority_queue_policy { key: 3 value { timeout_action: DELAY max_queue_size: 7 } }
    }
    optimization { cuda { graph_spec { input { key: "x" value { dim: 3 } } } } }
    parameters { key: "note" value { string_value: "text" } }
    model_metrics { metric_control { histogram_options { buckets: [ 0.5, 2 ] } } }
  `;
  expect(read(text)).toEqual({
    name: 'm',
    max_batch_size: 8,
    input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [-1, 3], reshape: { shape: [3] } }],
    instance_group: [{ count: 2, kind: 'KIND_GPU', gpus: [0, 1] }],
    dynamic_batching: {
      preferred_batch_size: [4, 8],
      priority_queue_policy: { 3: { timeout_action: 'DELAY', max_queue_size: 7 } },
    },
    optimization: { cuda: { graph_spec: [{ input: { x: { dim: [3] } } }] } },
    parameters: { note: { string_value: 'text' } },
    model_metrics: { metric_control: [{ histogram_options: { buckets: [0.5, 2] } }] },
  });
});

test('an enum of a config.pbtxt may be written as the number of its value', () => {
  expect(read('input { data_type: 11 } instance_group { kind: 2 }')).toEqual({
    input: [{ data_type: 'TYPE_FP32' }],
    instance_group: [{ kind: 'KIND_CPU' }],
  });
});

test.each([
  ['dynamic_batching {} sequence_batching {}', 'sequence_batching and dynamic_batching exclude each other: keep one'],
  ['version_policy { all {} latest { num_versions: 1 } }', 'latest and all exclude each other: keep one'],
  ['sequence_batching { oldest {} direct {} }', 'direct and oldest exclude each other: keep one'],
  ['max_batch_sise: 8', "max_batch_sise: there is no such field; did you mean 'max_batch_size'?"],
  ['instance_group { kind: KIND_CPUS }', "kind: there is no KIND_CPUS; did you mean 'KIND_CPU'?"],
  ['max_batch_size: 3000000000', 'max_batch_size: expected a whole number of 32 bits, got 3000000000'],
])('%s is a problem of a config.pbtxt', (text, problem) => {
  expect(() => read(text)).toThrow(problem);
});
