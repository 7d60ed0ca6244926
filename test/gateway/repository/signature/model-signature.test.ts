import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { MODEL_CONFIG, ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import { readModelFiles } from '../../../../src/gateway/repository/model-files.ts';
import {
  type Batching,
  type ModelSignature,
  resolveSignature,
} from '../../../../src/gateway/repository/signature/model-signature.ts';
import type { Datatype } from '../../../../src/wire/tensor.ts';
import type { SessionInfo, SessionTensor } from '../../../../src/worker/protocol.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

function tensor(name: string, axes: readonly (number | string)[], datatype: Datatype = 'FP32'): SessionTensor {
  return { name, datatype, axes, shape: axes.map((axis) => (typeof axis === 'number' ? axis : -1)) };
}

function session(inputs: readonly SessionTensor[], outputs: readonly SessionTensor[]): SessionInfo {
  return { inputs, outputs, provider: 'cpu', refusals: [] };
}

const USUAL = session([tensor('x', ['batch', 4])], [tensor('y', ['batch', 2])]);

async function resolve(
  info: SessionInfo,
  config: z.input<typeof MODEL_CONFIG> = {},
  directory = '/nowhere',
): Promise<ModelSignature> {
  const parsed = MODEL_CONFIG.parse(config);
  const files = await readModelFiles(directory, parsed);
  return resolveSignature(info, parsed, { files, initializers: new Set() });
}

describe('batching', () => {
  const cases: readonly { name: string; info: SessionInfo; max?: number; batching: Batching }[] = [
    { name: 'on, with the default size', info: USUAL, batching: { kind: 'on', maxRows: 64, requestRows: 65_536 } },
    {
      name: 'on, with the size of the configuration',
      info: USUAL,
      max: 16,
      batching: { kind: 'on', maxRows: 16, requestRows: 16_384 },
    },
    {
      name: 'on, where the first axes are open and have no names',
      info: session([tensor('x', ['', 4])], [tensor('y', ['', 2])]),
      batching: { kind: 'on', maxRows: 64, requestRows: 65_536 },
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
      name: 'on in doubt, because the names of the first axes differ',
      info: session([tensor('x', ['length', 4]), tensor('k', ['', 2])], [tensor('y', ['classes', 2])]),
      batching: {
        kind: 'on',
        maxRows: 64,
        requestRows: 65_536,
        doubt: {
          text: "the first axis of output 'y' is 'classes', but it is 'length' for input 'x'",
          inputs: new Set(),
        },
      },
    },
    {
      name: 'on where the names differ, because the configuration knows better',
      info: session([tensor('x', ['a', 4])], [tensor('y', ['b', 2])]),
      max: 8,
      batching: { kind: 'on', maxRows: 8, requestRows: 8_192 },
    },
  ];

  test('is without larger requests where the configuration refuses them, and for sequences', async () => {
    const refusing: readonly z.input<typeof MODEL_CONFIG>[] = [
      { tensorgate: { split: false } },
      { sequence_batching: {} },
    ];
    for (const config of refusing) expect((await resolve(USUAL, config)).batching).toEqual({ kind: 'on', maxRows: 64 });
  });

  test.each(cases)('$name', async ({ info, max, batching }) => {
    expect((await resolve(info, max === undefined ? {} : { max_batch_size: max })).batching).toEqual(batching);
  });

  test('that the model cannot do is refused, with both sides', async () => {
    const fixed = session([tensor('x', [1, 4])], [tensor('y', [1, 2])]);
    await expect(resolve(fixed, { max_batch_size: 8 })).rejects.toThrow(
      new ModelConfigError(
        "max_batch_size is 8, but the model cannot be batched: input 'x' has a fixed first axis (1); set max_batch_size: 0, or remove it",
      ),
    );
    expect((await resolve(fixed, { max_batch_size: 0 })).batching.kind).toBe('off');
  });
});

describe('names of batch axes', () => {
  const x = tensor('x', ['', 'rows', 4]);

  test('say in doubt which inputs differ from the first', async () => {
    const info = session([tensor('x', ['a', 4]), tensor('k', ['b', 2])], [tensor('y', ['c', 2])]);
    expect((await resolve(info)).batching).toEqual({
      kind: 'on',
      maxRows: 64,
      requestRows: 65_536,
      doubt: { text: "the first axis of input 'k' is 'b', but it is 'a' for input 'x'", inputs: new Set(['k']) },
    });
  });

  test('raise no doubt about axes that the configuration gives', async () => {
    const info = session([tensor('x', ['a', 4])], [tensor('y', ['b', 4])]);
    const { batching } = await resolve(info, { tensorgate: { batch_axes: { y: 0 } } });
    expect(batching).toEqual({ kind: 'on', maxRows: 64, requestRows: 65_536 });
  });

  test('follow the axes that the configuration gives, where it gives any', async () => {
    const info = session([x, tensor('k', ['steps', 'rows'])], [tensor('y', ['steps', 'rows', 2])]);
    const { batching, inputs, outputs } = await resolve(info, { tensorgate: { batch_axes: { x: 1 } } });
    expect(batching).toEqual({ kind: 'on', maxRows: 64, requestRows: 65_536 });
    expect([...inputs, ...outputs].map(({ rowAxis }) => rowAxis)).toEqual([1, 1, 1]);
  });
});

describe('the row axis', () => {
  const STATE = { input_name: 'h', output_name: 'hn', data_type: 'TYPE_FP32' as const };
  const x = tensor('x', ['batch', 4]);
  const axesOf = async (info: SessionInfo, config: z.input<typeof MODEL_CONFIG>): Promise<Record<string, unknown>> => {
    const { inputs, outputs } = await resolve(info, config);
    return Object.fromEntries([...inputs, ...outputs].map(({ name, rowAxis, shape }) => [name, rowAxis ?? shape]));
  };

  test('is a later one where that has the name of the others first one', async () => {
    const info = session([x, tensor('h', [2, 'batch', 3])], [tensor('y', ['batch', 1]), tensor('hn', [2, 'batch', 3])]);
    expect((await resolve(info)).batching).toEqual({ kind: 'on', maxRows: 64, requestRows: 65_536 });
    expect(await axesOf(info, {})).toEqual({ x: [-1, 4], h: 1, y: [-1, 1], hn: 1 });
  });

  test('is the axis that the dims of a state leave out; its output has the same by default', async () => {
    const info = session(
      [tensor('x', ['', 4]), tensor('h', [2, '', 3])],
      [tensor('y', ['', 1]), tensor('hn', ['', '', ''])],
    );
    const config = { sequence_batching: { state: [{ ...STATE, dims: [2, 3] }] } };
    expect(await axesOf(info, config)).toEqual({ x: [-1, 4], h: 1, y: [-1, 1], hn: 1 });
    expect((await resolve(info, config)).outputs[1]?.shape).toEqual([2, -1, 3]);
  });

  test('has the batch name, or is the first, when the dims of a state leave out several', async () => {
    const named = session([x, tensor('h', ['layers', 'batch'])], [tensor('y', ['batch']), tensor('hn', ['', 'batch'])]);
    const config = { sequence_batching: { state: [{ ...STATE, dims: [3] }] } };
    expect(await axesOf(named, config)).toMatchObject({ h: 1, hn: 1 });
    const bare = session([x, tensor('h', ['', ''])], [tensor('y', ['batch']), tensor('hn', ['', ''])]);
    expect(await axesOf(bare, config)).toMatchObject({ h: [-1, 3], hn: [-1, 3] });
  });

  test('is what the configuration says', async () => {
    const info = session(
      [x, tensor('h', [2, '', 3]), tensor('k', [])],
      [tensor('y', ['batch', '', 1]), tensor('l', [])],
    );
    const config = {
      max_batch_size: 8,
      tensorgate: { batch_axes: { h: 1, k: 'none' as const, y: 1, l: 'none' as const } },
    };
    expect(await axesOf(info, config)).toEqual({ x: [-1, 4], h: 1, k: 'shared', y: 1, l: 'shared' });
    // It means nothing without batching.
    expect(await axesOf(info, { ...config, max_batch_size: 0 })).toMatchObject({ h: [2, -1, 3], k: [] });
  });

  test.each([
    [{ z: 1 }, "tensorgate.batch_axes: 'z' is not in the model, which has 'x', 'big', 'text', 'y'"],
    [{ x: 1 }, "tensorgate.batch_axes: input 'x' has the shape [-1,4], whose axis 1 is not open"],
    [{ y: 7 }, "tensorgate.batch_axes: output 'y' has the shape [-1,2], whose axis 7 is not open"],
    [
      { x: 'none' as const },
      "tensorgate.batch_axes: input 'x' is FP32 of shape [-1,4], but one value for all rows must have a fixed size of at most 256 bytes",
    ],
    [
      { big: 'none' as const },
      "tensorgate.batch_axes: input 'big' is FP32 of shape [65], but one value for all rows must have a fixed size of at most 256 bytes",
    ],
  ])('%j is refused where it does not fit', async (batch_axes, message) => {
    const info = session(
      [x, tensor('big', [65]), tensor('text', ['batch', 'n'], 'BYTES')],
      [tensor('y', ['batch', 2])],
    );
    await expect(resolve(info, { tensorgate: { batch_axes } })).rejects.toThrow(new ModelConfigError(message));
  });

  test('is axis 0 for texts', async () => {
    const info = session([tensor('x', ['', 'batch'], 'BYTES')], [tensor('y', ['batch', 2])]);
    expect((await resolve(info, { tensorgate: { batch_axes: { x: 1 } } })).batching).toEqual({
      kind: 'off',
      reason: "input 'x' holds texts, which can only be stacked along axis 0",
    });
  });
});

describe('the shape for made-up requests', () => {
  const info = session([tensor('x', ['batch', 3, '', ''])], [tensor('y', ['batch', 2])]);
  const shapeOf = async (shape: number[], max?: number): Promise<unknown> => {
    const config = { ...(max !== undefined && { max_batch_size: max }), tensorgate: { probe_shape: { x: shape } } };
    return (await resolve(info, config)).inputs[0]?.probeShape;
  };

  test('has one row, with its batch axis or without it', async () => {
    expect(await shapeOf([3, 48, 64])).toEqual([1, 3, 48, 64]);
    expect(await shapeOf([1, 3, 48, 64])).toEqual([1, 3, 48, 64]);
    expect(await shapeOf([5, 3, 48, 64], 0)).toEqual([5, 3, 48, 64]);
  });

  test.each([
    [[3, 48], ''],
    [[4, 48, 64], ''],
    [[2, 3, 48, 64], ': its batch axis (axis 0) must be 1'],
  ])('%j is refused where it does not fit', async (shape, hint) => {
    await expect(shapeOf(shape)).rejects.toThrow(
      new ModelConfigError(
        `tensorgate.probe_shape: input 'x' has the shape [-1,3,-1,-1], which [${shape}] does not fit${hint}`,
      ),
    );
  });

  test('is of an input of the model', async () => {
    await expect(resolve(info, { tensorgate: { probe_shape: { z: [1] } } })).rejects.toThrow(
      new ModelConfigError("input 'z' is not in the model, which has 'x'"),
    );
  });
});

describe('the value for made-up requests', () => {
  test('is kept with its input', async () => {
    expect((await resolve(USUAL, { tensorgate: { probe_values: { x: 2 } } })).inputs).toEqual([
      { name: 'x', datatype: 'FP32', shape: [-1, 4], probeValue: 2 },
    ]);
  });

  test.each([
    [{ z: 1 }, "input 'z' is not in the model, which has 'x', 'half'"],
    [{ half: 1 }, "tensorgate.probe_values: input 'half' is FP16, which takes no value of yours"],
  ])('%j is refused', async (probe_values, message) => {
    const info = session(
      [tensor('x', ['batch', 4]), tensor('half', ['batch', 4], 'FP16')],
      [tensor('y', ['batch', 2])],
    );
    await expect(resolve(info, { tensorgate: { probe_values } })).rejects.toThrow(new ModelConfigError(message));
  });
});

describe('the tensors', () => {
  test('match the model', async () => {
    const { inputs, outputs } = await resolve(USUAL);
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
      config: { max_batch_size: 8, input: [{ name: 'x', dims: [-1, 4] }] },
      message:
        "input 'x': the configuration says dims [-1,4], the model has [4]; leave the batch axis out when max_batch_size > 0",
    },
    {
      name: 'no batch axis, where there is no batching',
      config: { max_batch_size: 0, input: [{ name: 'x', dims: [4] }] },
      message: "input 'x': the configuration says dims [4], the model has [-1,4]",
    },
  ])('a configuration with $name is refused, with both sides', async ({ config, message }) => {
    await expect(resolve(USUAL, config)).rejects.toThrow(new ModelConfigError(message));
  });

  test('a reshaped tensor has dims for clients, and another shape for the model', async () => {
    const reshaped = { input: [{ name: 'x', dims: [2, 2], reshape: { shape: [4] } }] };
    expect((await resolve(USUAL, reshaped)).inputs[0]).toMatchObject({ shape: [-1, 2, 2], modelShape: [-1, 4] });
    const other = { max_batch_size: 8, input: [{ name: 'x', dims: [3, 1], reshape: { shape: [3] } }] };
    await expect(resolve(USUAL, other)).rejects.toThrow(
      new ModelConfigError("input 'x': the configuration says the shape [3], the model has [4]"),
    );
  });

  test('whole shapes without a size of batches are no batching, as in Triton', async () => {
    const config = { input: [{ name: 'x', dims: [-1, 4] }], output: [{ name: 'y', dims: [-1, 2] }] };
    const { batching, inputs } = await resolve(USUAL, config);
    expect(batching).toEqual({
      kind: 'off',
      reason: 'the configuration gives whole shapes, and no max_batch_size',
    });
    expect(inputs[0]?.shape).toEqual([-1, 4]);
    // One of them whole, the other not: that contradicts itself.
    await expect(resolve(USUAL, { ...config, output: [{ name: 'y', dims: [2] }] })).rejects.toThrow(ModelConfigError);
  });

  test('a configuration that says the same is accepted', async () => {
    const config = {
      input: [{ name: 'x', data_type: 'TYPE_FP32' as const, dims: [4] }],
      output: [{ name: 'y', dims: [2] }],
    };
    expect(await resolve(USUAL, config)).toEqual(await resolve(USUAL));
    await expect(resolve(USUAL, { max_batch_size: 0, input: [{ name: 'x', dims: [-1, 4] }] })).resolves.not.toThrow();
  });

  test('sizes that the configuration says of open axes hold', async () => {
    const info = session([tensor('x', ['batch', 'length', 4])], [tensor('y', ['batch', 'length'])]);
    const { inputs, outputs } = await resolve(info, {
      input: [{ name: 'x', dims: [16, 4] }],
      output: [{ name: 'y', dims: [-1] }],
    });
    expect(inputs[0]?.shape).toEqual([-1, 16, 4]);
    expect(outputs[0]?.shape).toEqual([-1, -1]);
    const whole = await resolve(info, { max_batch_size: 0, input: [{ name: 'x', dims: [2, 16, 4] }] });
    expect(whole.inputs[0]?.shape).toEqual([2, 16, 4]);
  });
});

describe('labels', () => {
  const config = { output: [{ name: 'y', label_filename: 'labels.txt' }] };

  test('are the lines of their file, whatever ends them', async () => {
    const directory = temporaryDirectory();
    fs.writeFileSync(path.join(directory, 'labels.txt'), 'cat\r\nbig dog\nbird\n');
    expect((await resolve(USUAL, config, directory)).outputs[0]).toMatchObject({
      labelFilename: 'labels.txt',
      labels: ['cat', 'big dog', 'bird'],
    });
  });

  test('keep their places where a line in between is empty', async () => {
    const directory = temporaryDirectory();
    fs.writeFileSync(path.join(directory, 'labels.txt'), 'cat\n\nbird\n');
    expect((await resolve(USUAL, config, directory)).outputs[0]?.labels).toEqual(['cat', '', 'bird']);
  });

  test('whose file is missing keep the model from being served', async () => {
    await expect(resolve(USUAL, config, temporaryDirectory())).rejects.toThrow(ModelConfigError);
    await expect(resolve(USUAL, config, temporaryDirectory())).rejects.toThrow(
      /^label_filename 'labels\.txt': .*labels\.txt does not exist$/,
    );
  });

  test.each(['../labels.txt', '/etc/hostname', 'a/../b.txt', 'a\\b.txt', 'a//b'])(
    'lie beside the configuration, and not at %s',
    async (name) => {
      await expect(
        resolve(USUAL, { output: [{ name: 'y', label_filename: name }] }, temporaryDirectory()),
      ).rejects.toThrow(`label_filename '${name}': '${name}': expected a relative path without '..' and backslashes`);
    },
  );
});
