import { expect, test } from 'vitest';
import { parseModelConfig, type ReadConfig } from '../../../../src/gateway/repository/config/config-file.ts';
import { ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';

function read(text: string): ReadConfig {
  return parseModelConfig({ text, name: 'config.pbtxt', form: 'pbtxt' }, 'm');
}

function parameter(key: string, value: string): string {
  return `parameters { key: "${key}" value { string_value: ${JSON.stringify(value)} } }`;
}

test("a parameter tensorgate.* of config.pbtxt is a field of the section 'tensorgate', and no parameter of the session", () => {
  const text = [
    parameter('tensorgate.padding', '{"input_ids": 3, "mask": false}'),
    parameter('tensorgate.row_independence', 'assume'),
    parameter('tensorgate.max_run_ms', '500'),
    parameter('intra_op_thread_count', '2'),
  ];
  const { config, warnings } = read(text.join('\n'));
  const padding = new Map([
    ['input_ids', 3],
    ['mask', 0],
  ]);
  expect(config.tensorgate).toMatchObject({ padding, row_independence: 'assume', max_run_ms: 500 });
  expect(config.parameters).toEqual({ intra_op_thread_count: '2' });
  expect(warnings).toEqual([]);
});

test.each([
  ['padding', '{"input_ids": "x"}', "tensorgate.padding.input_ids: expected a number or a boolean, got 'x'"],
  ['padding', '{"input_ids": 0', 'tensorgate.padding: Invalid input: expected record, received string'],
  ['paddding', '{}', `tensorgate.paddding: Unrecognized key: "paddding"; did you mean 'padding'?`],
])('a parameter tensorgate.%s of %s is refused, with its place', (field, value, problem) => {
  const text = `max_batch_size: 4\n${parameter(`tensorgate.${field}`, value)}`;
  expect(() => read(text)).toThrow(ModelConfigError);
  expect(() => read(text)).toThrow(/^config\.pbtxt:2:\d+: /);
  expect(() => read(text)).toThrow(problem);
});
