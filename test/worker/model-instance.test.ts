import fs from 'node:fs';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype, isDatatype, type Shape } from '../../src/wire/tensor.ts';
import { Mailbox } from '../../src/worker/mailbox.ts';
import { load, run, unload } from '../../src/worker/model-instance.ts';
import { ANY_OUTPUT_BYTES, aligned, type SessionInfo, type TensorPlace } from '../../src/worker/protocol.ts';
import { outcomeOf } from '../../src/worker/run-failure.ts';
import type { ReportedOutcome } from '../../src/worker/run-outcome.ts';
import { type Axis, identityModel, passThroughModel, sumModel, zerosModel } from '../support/onnx-models.ts';
import { readMailbox } from '../support/read-mailbox.ts';
import { modelFile, sessionSpec } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const SERVED = Object.keys(DATATYPE_BYTES).filter(isDatatype);

afterEach(unload);

/** The gateway's side of one instance. */
async function loaded(model: Uint8Array): Promise<{ readonly box: Mailbox; readonly info: SessionInfo }> {
  const box = Mailbox.create(temporaryDirectory());
  onTestFinished(() => box.close());
  return { box, info: await load({ mailboxPath: box.path, spec: sessionSpec(modelFile(model)) }) };
}

interface Given {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  readonly data: Uint8Array;
}

/** Runs tensors, and reads what comes back. */
async function answersTo(box: Mailbox, tensors: readonly Given[]): Promise<Given[]> {
  const inputs: TensorPlace[] = [];
  let end = 0;
  for (const { data, ...rest } of tensors) {
    const offset = aligned(end);
    box.writeSync([data], offset);
    inputs.push({ ...rest, offset, byteLength: data.byteLength });
    end = offset + data.byteLength;
  }
  const { outputs } = await run({ inputs, outputOffset: aligned(end), maxOutputBytes: ANY_OUTPUT_BYTES });
  return Promise.all(
    outputs.map(async ({ name, datatype, shape, offset, byteLength }) => ({
      name,
      datatype,
      shape,
      data: await readMailbox(box, offset, byteLength),
    })),
  );
}

/** Bytes of every value there is, over so many elements. */
function bytesOf(datatype: Datatype, elements: number): Uint8Array {
  const size = DATATYPE_BYTES[datatype];
  if (size === undefined) {
    return encodeBytesTensor(
      Array.from({ length: elements }, (_, index) => Buffer.from('é\u{1f600}'.repeat(index % 3))),
    );
  }
  // Every BF16 but NaNs, whose payload a Cast may change.
  if (datatype === 'BF16') {
    const bits = Array.from({ length: elements }, (_, index) => (index * 163) & 0xffff);
    return new Uint8Array(Uint16Array.from(bits, (each) => ((each & 0x7f80) === 0x7f80 ? 0x7f80 : each)).buffer);
  }
  if (datatype === 'BOOL') return Uint8Array.from({ length: elements }, (_, index) => index % 2);
  return Uint8Array.from({ length: elements * size }, (_, index) => index * 37);
}

describe('tensors', () => {
  test.each(SERVED)('with datatype %s pass bit for bit', async (datatype) => {
    const { box } = await loaded(identityModel(datatype));
    const data = bytesOf(datatype, 400);
    const [answer] = await answersTo(box, [{ name: 'input', datatype, shape: [100, 4], data }]);
    expect(answer).toMatchObject({ name: 'output', datatype, shape: [100, 4] });
    expect(Buffer.compare(answer?.data ?? new Uint8Array(0), data)).toBe(0);
  });

  test('NaN with its payload, infinities, -0 and subnormal numbers pass bit for bit', async () => {
    const { box } = await loaded(identityModel('FP32'));
    const data = new Uint8Array(new Uint32Array([0x7fc00001, 0xff800000, 0x80000000, 1]).buffer);
    const [answer] = await answersTo(box, [{ name: 'input', datatype: 'FP32', shape: [1, 4], data }]);
    expect(Buffer.compare(answer?.data ?? new Uint8Array(0), data)).toBe(0);
  });

  test.each(SERVED)('with datatype %s may be empty', async (datatype) => {
    const { box } = await loaded(identityModel(datatype, ['batch', 'length']));
    const data = new Uint8Array(0);
    const [answer] = await answersTo(box, [{ name: 'input', datatype, shape: [3, 0], data }]);
    expect(answer).toMatchObject({ shape: [3, 0] });
    expect(answer?.data).toHaveLength(0);
  });

  test.each<{ axes: readonly Axis[]; shape: Shape }>([
    { axes: [], shape: [] },
    { axes: [3], shape: [3] },
    { axes: ['a', '', 2, 1], shape: [2, 3, 2, 1] },
  ])('may have any rank: $shape', async ({ axes, shape }) => {
    const { box, info } = await loaded(identityModel('INT16', axes));
    expect(info.inputs[0]).toMatchObject({ axes, shape: axes.map((axis) => (typeof axis === 'number' ? axis : -1)) });
    const data = bytesOf(
      'INT16',
      shape.reduce((product, size) => product * size, 1),
    );
    const [answer] = await answersTo(box, [{ name: 'input', datatype: 'INT16', shape, data }]);
    expect(answer?.shape).toEqual(shape);
    expect(Buffer.compare(answer?.data ?? new Uint8Array(0), data)).toBe(0);
  });

  test('for several inputs and datatypes pass beside each other', async () => {
    const tensors = SERVED.map((datatype, index): Given => {
      const shape = [index + 1, 3];
      return { name: datatype, datatype, shape, data: bytesOf(datatype, (index + 1) * 3) };
    });
    const { box } = await loaded(
      passThroughModel(SERVED.map((datatype) => ({ name: datatype, datatype, axes: ['', 3] }))),
    );
    const answers = await answersTo(box, tensors);
    expect(answers.map(({ name, datatype, shape }) => ({ name, datatype, shape }))).toEqual(
      tensors.map(({ datatype, shape }) => ({ name: `${datatype}_out`, datatype, shape })),
    );
    for (const [index, answer] of answers.entries()) {
      expect(Buffer.compare(answer.data, tensors[index]?.data ?? new Uint8Array(0))).toBe(0);
    }
  });

  test('with very different sizes follow one another', async () => {
    const { box } = await loaded(identityModel('UINT8', ['batch', 4]));
    for (const rows of [1, 500_000, 1, 20_000, 3]) {
      const data = bytesOf('UINT8', rows * 4);
      const [answer] = await answersTo(box, [{ name: 'input', datatype: 'UINT8', shape: [rows, 4], data }]);
      expect(Buffer.compare(answer?.data ?? new Uint8Array(0), data)).toBe(0);
    }
  });
});

test('what a run took for its outputs is given back before the next one', async () => {
  const { box } = await loaded(identityModel('UINT8', ['batch', 4]));
  const given: Given = { name: 'input', datatype: 'UINT8', shape: [2_000_000, 4], data: bytesOf('UINT8', 8_000_000) };
  const answer = async (): Promise<number> => {
    box.writeSync([given.data], 0);
    await run({
      inputs: [{ ...given, offset: 0, byteLength: 8_000_000 }],
      outputOffset: 8_000_000,
      maxOutputBytes: ANY_OUTPUT_BYTES,
    });
    return process.memoryUsage().arrayBuffers;
  };
  const first = await answer();
  expect((await answer()) - first).toBeLessThan(1_000_000);
});

describe('outputs with more bytes than the run allows', () => {
  /** What a run gave, and the size of the mailbox after it. */
  async function runWithin(
    box: Mailbox,
    given: Given,
    maxOutputBytes: number,
  ): Promise<{ outcome: ReportedOutcome; size: number }> {
    box.empty();
    box.writeSync([given.data], 0);
    const place = { ...given, offset: 0, byteLength: given.data.byteLength };
    const outputOffset = aligned(given.data.byteLength);
    const outcome = await run({ inputs: [place], outputOffset, maxOutputBytes }).catch(outcomeOf);
    return { outcome, size: fs.statSync(box.path).size };
  }

  const sizes = (...values: bigint[]): Given => {
    return { name: 'shape', datatype: 'INT64', shape: [2], data: new Uint8Array(BigInt64Array.from(values).buffer) };
  };

  test('are not written; the failure names the output, its shape and its bytes', async () => {
    const { box } = await loaded(zerosModel());
    const { outcome, size } = await runWithin(box, sizes(100n, 25n), 9_999);
    expect(outcome).toEqual({
      kind: 'outputs_too_large',
      message: "output 'values' of shape [100,25] has 10000 bytes",
    });
    expect(size).toBe(16);
    expect((await runWithin(box, sizes(100n, 25n), 10_000)).outcome).toMatchObject({
      outputs: [{ byteLength: 10_000 }],
    });
  });

  test('are counted together: the largest is named', async () => {
    const { box } = await loaded(sumModel());
    box.writeSync([new Uint8Array(72)], 0);
    const place = (name: string, offset: number): TensorPlace => {
      return { name, datatype: 'FP32', shape: [1, 2], offset, byteLength: 8 };
    };
    const failed = run({ inputs: [place('a', 0), place('b', 64)], outputOffset: 128, maxOutputBytes: 15 });
    expect(await failed.catch(outcomeOf)).toEqual({
      kind: 'outputs_too_large',
      message: expect.stringMatching(/^output '\w+' of shape \[1,2\] has 8 bytes, all outputs have 16$/),
    });
  });

  test('with strings count their bytes, and the length of each', async () => {
    const { box } = await loaded(identityModel('BYTES', ['batch', 1]));
    const data = encodeBytesTensor([Buffer.from('é'.repeat(50)), Buffer.from('')]);
    const given: Given = { name: 'input', datatype: 'BYTES', shape: [2, 1], data };
    expect((await runWithin(box, given, 107)).outcome).toMatchObject({
      kind: 'outputs_too_large',
      message: "output 'output' of shape [2,1] has 108 bytes",
    });
    expect((await runWithin(box, given, 108)).outcome).toMatchObject({ outputs: [{ byteLength: 108 }] });
  });

  test('are given back before the next run', async () => {
    const { box } = await loaded(zerosModel());
    await runWithin(box, sizes(1n, 1n), 100);
    const before = process.memoryUsage().arrayBuffers;
    await runWithin(box, sizes(4_000n, 1_000n), 100);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });

  test('for which there is no memory at all are a fault of memory', async () => {
    const { box } = await loaded(zerosModel());
    const { outcome } = await runWithin(box, sizes(2n ** 40n, 1n), ANY_OUTPUT_BYTES);
    expect(outcome).toEqual({ kind: 'out_of_memory', by: 'batch' });
  });
});

describe('the order of things', () => {
  test('a run before a load is an error', async () => {
    await expect(run({ inputs: [], outputOffset: 0, maxOutputBytes: 0 })).rejects.toThrow('run before load');
  });

  test('a run after an unload is an error, and a second unload does nothing', async () => {
    await loaded(identityModel('FP32'));
    await unload();
    await unload();
    await expect(run({ inputs: [], outputOffset: 0, maxOutputBytes: 0 })).rejects.toThrow('run before load');
  });
});
