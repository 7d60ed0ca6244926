import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { MODEL_CONFIG, ModelConfigError } from '../../../src/gateway/repository/model-config.ts';
import {
  type Batching,
  type ModelSignature,
  resolveSignature,
} from '../../../src/gateway/repository/model-signature.ts';
import type { Datatype } from '../../../src/wire/tensor.ts';
import type { SessionInfo, SessionTensor } from '../../../src/worker/protocol.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

function tensor(name: string, axes: readonly (number | string)[], datatype: Datatype = 'FP32'): SessionTensor {
  return { name, datatype, axes, shape: axes.map((axis) => (typeof axis === 'number' ? axis : -1)) };
}

function session(inputs: readonly SessionTensor[], outputs: readonly SessionTensor[]): SessionInfo {
  return { inputs, outputs, provider: 'cpu', refusals: [] };
}

const USUAL = session([tensor('x', ['batch', 4])], [tensor('y', ['batch', 2])]);

function resolve(info: SessionInfo, config: z.input<typeof MODEL_CONFIG> = {}, directory = '/nowhere'): ModelSignature {
  return resolveSignature(info, MODEL_CONFIG.parse(config), directory);
}

describe('batching', () => {
  const cases: readonly { name: string; info: SessionInfo; max?: number; batching: Batching }[] = [
    { name: 'on, with the default size', info: USUAL, batching: { kind: 'on', maxRows: 64 } },
    { name: 'on, with the size of the configuration', info: USUAL, max: 16, batching: { kind: 'on', maxRows: 16 } },
    {
      name: 'on, where the first axes are open and have no names',
      info: session([tensor('x', ['', 4])], [tensor('y', ['', 2])]),
      batching: { kind: 'on', maxRows: 64 },
    },
    {
      name: 'off, because the configuration says so',
      info: USUAL,
      max: 0,
      batching: { kind: 'off', reason: 'the configuration says max_batch_size: 0' },
    },
    {
      name: 'off, because the first axis of an input is fixed',
      info: session([tensor('x', [1, 4])], [tensor('y', ['batch', 2])]),
      batching: { kind: 'off', reason: "input 'x' has a fixed first axis (1)" },
    },
    {
      name: 'off, because the first axis of an output is fixed',
      info: session([tensor('x', ['batch', 4])], [tensor('y', ['batch', 4]), tensor('z', [10])]),
      batching: { kind: 'off', reason: "output 'z' has a fixed first axis (10)" },
    },
    {
      name: 'off, because an input is a scalar',
      info: session([tensor('x', ['batch', 4]), tensor('k', [])], [tensor('y', ['batch', 2])]),
      batching: { kind: 'off', reason: "input 'k' is a scalar" },
    },
    {
      name: 'off, because an output is a scalar',
      info: session([tensor('x', ['batch', 4])], [tensor('loss', [])]),
      batching: { kind: 'off', reason: "output 'loss' is a scalar" },
    },
    {
      name: 'off, because there are no inputs',
      info: session([], [tensor('y', ['batch', 2])]),
      batching: { kind: 'off', reason: 'the model has no inputs' },
    },
    {
      name: 'off, because the names of the first axes differ',
      info: session([tensor('x', ['length', 4]), tensor('k', ['', 2])], [tensor('y', ['classes', 2])]),
      batching: {
        kind: 'off',
        reason: "the first axis of output 'y' is 'classes', and not 'length' as that of input 'x'",
      },
    },
    {
      name: 'on where the names differ, because the configuration knows better',
      info: session([tensor('x', ['a', 4])], [tensor('y', ['b', 2])]),
      max: 8,
      batching: { kind: 'on', maxRows: 8 },
    },
  ];

  test.each(cases)('$name', ({ info, max, batching }) => {
    expect(resolve(info, max === undefined ? {} : { max_batch_size: max }).batching).toEqual(batching);
  });

  test('that the model cannot do is refused, with both sides', () => {
    const fixed = session([tensor('x', [1, 4])], [tensor('y', [1, 2])]);
    expect(() => resolve(fixed, { max_batch_size: 8 })).toThrow(
      new ModelConfigError(
        "max_batch_size is 8, but the model cannot be batched: input 'x' has a fixed first axis (1); set max_batch_size: 0, or remove it",
      ),
    );
    expect(resolve(fixed, { max_batch_size: 0 }).batching.kind).toBe('off');
  });
});

describe('the tensors', () => {
  test('are those of the model', () => {
    const { inputs, outputs } = resolve(USUAL);
    expect(inputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [-1, 4] }]);
    expect(outputs).toEqual([{ name: 'y', datatype: 'FP32', shape: [-1, 2], labelFilename: undefined, labels: [] }]);
  });

  test.each([
    {
      name: 'a name that the model does not have',
      config: { input: [{ name: 'z' }] },
      message: "input 'z' is not in the model, which has 'x'",
    },
    {
      name: 'another datatype',
      config: { output: [{ name: 'y', data_type: 'TYPE_INT64' as const }] },
      message: "output 'y': the configuration says data_type TYPE_INT64, the model has TYPE_FP32",
    },
    {
      name: 'another size',
      config: { input: [{ name: 'x', dims: [5] }] },
      message: "input 'x': the configuration says dims [5], the model has [4]",
    },
    {
      name: 'an open axis where the model has a fixed one',
      config: { input: [{ name: 'x', dims: [-1] }] },
      message: "input 'x': the configuration says dims [-1], the model has [4]",
    },
    {
      name: 'the batch axis, which does not belong there',
      config: { input: [{ name: 'x', dims: [-1, 4] }] },
      message:
        "input 'x': the configuration says dims [-1,4], the model has [4]; leave the batch axis out when max_batch_size > 0",
    },
    {
      name: 'no batch axis, where there is no batching',
      config: { max_batch_size: 0, input: [{ name: 'x', dims: [4] }] },
      message: "input 'x': the configuration says dims [4], the model has [-1,4]",
    },
  ])('a configuration with $name is refused, with both sides', ({ config, message }) => {
    expect(() => resolve(USUAL, config)).toThrow(new ModelConfigError(message));
  });

  test('a configuration that says the same is accepted', () => {
    const config = {
      input: [{ name: 'x', data_type: 'TYPE_FP32' as const, dims: [4] }],
      output: [{ name: 'y', dims: [2] }],
    };
    expect(resolve(USUAL, config)).toEqual(resolve(USUAL));
    expect(() => resolve(USUAL, { max_batch_size: 0, input: [{ name: 'x', dims: [-1, 4] }] })).not.toThrow();
  });

  test('sizes that the configuration says of open axes hold', () => {
    const info = session([tensor('x', ['batch', 'length', 4])], [tensor('y', ['batch', 'length'])]);
    const { inputs, outputs } = resolve(info, {
      input: [{ name: 'x', dims: [16, 4] }],
      output: [{ name: 'y', dims: [-1] }],
    });
    expect(inputs[0]?.shape).toEqual([-1, 16, 4]);
    expect(outputs[0]?.shape).toEqual([-1, -1]);
    const whole = resolve(info, { max_batch_size: 0, input: [{ name: 'x', dims: [2, 16, 4] }] });
    expect(whole.inputs[0]?.shape).toEqual([2, 16, 4]);
  });
});

describe('labels', () => {
  const config = { output: [{ name: 'y', label_filename: 'labels.txt' }] };

  test('are the lines of their file, whatever ends them', () => {
    const directory = temporaryDirectory();
    fs.writeFileSync(path.join(directory, 'labels.txt'), 'cat\r\nbig dog\nbird\n');
    expect(resolve(USUAL, config, directory).outputs[0]).toMatchObject({
      labelFilename: 'labels.txt',
      labels: ['cat', 'big dog', 'bird'],
    });
  });

  test('keep their places where a line in between is empty', () => {
    const directory = temporaryDirectory();
    fs.writeFileSync(path.join(directory, 'labels.txt'), 'cat\n\nbird\n');
    expect(resolve(USUAL, config, directory).outputs[0]?.labels).toEqual(['cat', '', 'bird']);
  });

  test('whose file is missing keep the model from being served', () => {
    expect(() => resolve(USUAL, config, temporaryDirectory())).toThrow(ModelConfigError);
    expect(() => resolve(USUAL, config, temporaryDirectory())).toThrow("label_filename 'labels.txt' cannot be read");
  });

  test.each(['../labels.txt', '/etc/hostname', 'a/b.txt'])('lie beside the configuration, and not at %s', (name) => {
    expect(() => resolve(USUAL, { output: [{ name: 'y', label_filename: name }] }, temporaryDirectory())).toThrow(
      `label_filename '${name}': expected a file name without directories`,
    );
  });
});
