import { describe, expect, test, vi } from 'vitest';
import type { RunRows } from '../../../../src/gateway/models/trial/row-independence.ts';
import { PROBE_RANGES } from '../../../../src/gateway/models/trial/synthetic-input.ts';
import {
  findProbeShape,
  measureBatches,
  warmInstances,
  warmUpRows,
} from '../../../../src/gateway/models/trial/warm-up.ts';
import { bytesOf } from '../../../../src/wire/tensor-bytes.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';
import { spec } from '../../../support/infer-requests.ts';
import { convolutionModel, gatherModel, mlpModel } from '../../../support/onnx-models.ts';
import { runRowsOf } from '../../../support/runners.ts';

const OK: RunOutcome = { kind: 'ok', outputs: [], inputMs: 0, computeMs: 0, outputMs: 0 };
const FP32_ROW = [spec('input', 'FP32', [-1, 4])];
const OPEN_ROW = [spec('image', 'FP32', [-1, 3, -1, -1])];

describe('the values that a model takes', () => {
  test('are found at once where it takes any', async () => {
    expect(await findProbeShape(await runRowsOf(mlpModel()), FP32_ROW, PROBE_RANGES)).toMatchObject({
      kind: 'shape',
      shape: { openAxisSize: 1, range: 'wide' },
    });
  });

  test.each([
    [2, 2],
    [5, 4],
    [40, 32],
  ])('are within its vocabulary of %i', async (vocabulary, bound) => {
    const run = await runRowsOf(gatherModel(vocabulary));
    const found = await findProbeShape(run, [spec('indices', 'INT64', [-1, 2])], PROBE_RANGES);
    expect(found).toMatchObject({ kind: 'shape', shape: { openAxisSize: 1, range: 'wide', bounds: [bound] } });
  });

  test('are as many for each input as it takes, and small where no others run together', async () => {
    const inputs = [spec('words', 'INT64', [-1, 2]), spec('places', 'INT32', [-1, 2]), spec('x', 'FP32', [-1, 1])];
    const largest = (values: BigInt64Array | Int32Array): number => Math.max(...Array.from(values, Number));
    const taking = (together: boolean): RunRows => {
      return async ([row]) => {
        const [words, places] = row?.inputs.map((value) => bytesOf(value).slice().buffer) ?? [];
        const word = largest(new BigInt64Array(words ?? new ArrayBuffer(0)));
        const place = largest(new Int32Array(places ?? new ArrayBuffer(0)));
        const isTaken = word < 50 && place < 4 && (together || word < 2 || place < 2);
        return isTaken ? OK : { kind: 'refused', message: 'out of range' };
      };
    };
    expect(await findProbeShape(taking(true), inputs, PROBE_RANGES)).toMatchObject({
      shape: { range: 'wide', bounds: [32, 4] },
    });
    expect(await findProbeShape(taking(false), inputs, PROBE_RANGES)).toMatchObject({ shape: { range: 'small' } });
  });

  test('have the shape that the configuration gives, and no other', async () => {
    const shapes: string[] = [];
    const run: RunRows = async ([row]) => {
      shapes.push(String(row?.shapes[0]));
      return { kind: 'refused', message: 'no' };
    };
    const inputs = [{ ...spec('image', 'FP32', [-1, 3, -1, -1]), probeShape: [1, 3, 48, 64] }];
    await findProbeShape(run, inputs, PROBE_RANGES);
    expect(shapes).toEqual(Array(3).fill('1,3,48,64'));
  });

  test('are zero where nothing else is left', async () => {
    const found = await findProbeShape(
      await runRowsOf(gatherModel(1)),
      [spec('indices', 'INT64', [-1, 2])],
      PROBE_RANGES,
    );
    expect(found).toMatchObject({ kind: 'shape', shape: { openAxisSize: 1, range: 'zero' } });
  });

  test('include a size for axes that are open', async () => {
    expect(await findProbeShape(await runRowsOf(convolutionModel()), OPEN_ROW, PROBE_RANGES)).toMatchObject({
      kind: 'shape',
      shape: { openAxisSize: 16, range: 'wide' },
    });
  });

  test('are looked for among other sizes where the first is refused', async () => {
    const run: RunRows = async ([row]) =>
      row?.shapes[0]?.[2] === 224 ? OK : { kind: 'refused', message: 'too small' };
    expect(await findProbeShape(run, OPEN_ROW, PROBE_RANGES)).toMatchObject({
      kind: 'shape',
      shape: { openAxisSize: 224, range: 'wide' },
    });
  });

  test('come with the bytes of the larger side of a row', async () => {
    const wide = { name: 'wide', datatype: 'FP32', shape: [1, 25], data: new Uint8Array(100) } as const;
    expect(await findProbeShape(async () => OK, FP32_ROW, PROBE_RANGES)).toMatchObject({ rowBytes: 16 });
    const run: RunRows = async () => ({ ...OK, outputs: [wide] });
    expect(await findProbeShape(run, FP32_ROW, PROBE_RANGES)).toMatchObject({ rowBytes: 100 });
  });

  test('are none where all is refused, with the last reason', async () => {
    let tries = 0;
    const run: RunRows = async () => ({ kind: 'refused', message: `refused ${++tries}` });
    expect(await findProbeShape(run, FP32_ROW, PROBE_RANGES)).toEqual({ kind: 'none', reason: 'refused 3' });
  });

  test.each<Extract<RunOutcome, { kind: 'crashed' | 'timed_out' | 'overran' }>>([
    { kind: 'crashed', cause: 'killed by SIGSEGV' },
    { kind: 'timed_out', cause: 'late' },
    { kind: 'overran', cause: 'late', maxMs: 1 },
  ])('are not looked for any more once a run has $kind', async (outcome) => {
    let tries = 0;
    const run: RunRows = async () => {
      tries++;
      return outcome;
    };
    const reason = {
      crashed: /^killed by SIGSEGV$/,
      timed_out: /^late$/,
      overran: /^late: .*tensorgate\.probe_values/,
    };
    expect(await findProbeShape(run, OPEN_ROW, PROBE_RANGES)).toEqual({
      kind: 'crashed',
      reason: expect.stringMatching(reason[outcome.kind]),
    });
    expect(tries).toBe(1);
  });
});

describe('the sizes that are measured', () => {
  const shape = { openAxisSize: 1, range: 'wide' } as const;

  test.each([
    { maxRows: 1, sizes: [1] },
    { maxRows: 8, sizes: [1, 2, 4, 8] },
    { maxRows: 12, sizes: [1, 2, 4, 8, 12] },
  ])('up to $maxRows are $sizes, twice each', async ({ maxRows, sizes }) => {
    const ran: number[] = [];
    const run: RunRows = async (rows) => {
      ran.push(rows.length);
      return OK;
    };
    const measured = await measureBatches(run, FP32_ROW, shape, maxRows);
    expect(ran).toEqual(sizes.flatMap((size) => [size, size]));
    expect(measured.map(({ rows }) => rows)).toEqual(sizes.flatMap((size) => [size, size]));
    for (const { elapsedMs } of measured) expect(elapsedMs).toBeGreaterThanOrEqual(0);
  });

  test('are of three lengths where an axis is open: all sizes of the first, and fewer of the others', async () => {
    const ran: string[] = [];
    const run: RunRows = async (rows) => {
      ran.push(`${rows.length} x ${rows[0]?.shapes[0]?.[1]}`);
      return OK;
    };
    const text = [spec('tokens', 'INT64', [-1, -1])];
    const measured = await measureBatches(run, text, { openAxisSize: 16, range: 'zero' }, 8);
    const sizes = [
      '1 x 16',
      '2 x 16',
      '4 x 16',
      '8 x 16',
      '1 x 64',
      '4 x 64',
      '8 x 64',
      '1 x 256',
      '4 x 256',
      '8 x 256',
    ];
    expect(ran).toEqual(sizes.flatMap((size) => [size, size]));
    expect(measured.map(({ rows, openAxisSize }) => `${rows} x ${openAxisSize}`)).toEqual(
      sizes.flatMap((size) => [size, size]),
    );
  });

  test('take the fastest run of each: another one may be slowed down by other work of the machine', async () => {
    let runs = 0;
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const run: RunRows = async (rows) => {
        const isSlow = runs++ % 3 === 0;
        vi.advanceTimersByTime(isSlow ? 50 : rows.length);
        return OK;
      };
      const measured = await measureBatches(run, FP32_ROW, shape, 8);
      expect(measured.map(({ rows, elapsedMs }) => elapsedMs / rows)).toEqual(Array(8).fill(1));
    } finally {
      vi.useRealTimers();
    }
  });

  test('leave out lengths that the model does not take', async () => {
    const run: RunRows = async ([row]) =>
      (row?.shapes[0]?.[1] ?? 0) > 64 ? { kind: 'refused', message: 'too long' } : OK;
    const text = [spec('tokens', 'INT64', [-1, -1])];
    const measured = await measureBatches(run, text, { openAxisSize: 16, range: 'zero' }, 2);
    expect(measured.map(({ rows, openAxisSize }) => `${rows} x ${openAxisSize}`)).toEqual(
      ['1 x 16', '2 x 16', '1 x 64', '2 x 64'].flatMap((size) => [size, size]),
    );
  });

  test('end before the first that does not run', async () => {
    const run: RunRows = async (rows) => (rows.length < 4 ? OK : { kind: 'failed', error: new Error('no memory') });
    expect((await measureBatches(run, FP32_ROW, shape, 64)).map(({ rows }) => rows)).toEqual([1, 1, 2, 2]);
  });

  test('are real runs', async () => {
    const measured = await measureBatches(await runRowsOf(mlpModel()), FP32_ROW, shape, 4);
    expect(measured.map(({ rows }) => rows)).toEqual([1, 1, 2, 2, 4, 4]);
  });
});

test('measuring and warming give the memory of each run back, for the next one', async () => {
  let held = 0;
  const run: RunRows = async () => {
    expect(held++).toBe(0);
    return { ...OK, memory: { shareAmong: () => {}, giveBack: () => void held-- } };
  };
  const shape = { openAxisSize: 1, range: 'zero' } as const;
  await measureBatches(run, FP32_ROW, shape, 8);
  await warmInstances(run, FP32_ROW, shape, { rows: 8, instances: 1 });
  expect(held).toBe(0);
});

describe('warming', () => {
  const SHAPE = { openAxisSize: 224, range: 'zero' } as const;

  test('takes the largest batch that a model may have, unless its rows are large', () => {
    expect(warmUpRows(16, 64)).toBe(64);
    // An image of 3 x 224 x 224 floats.
    expect(warmUpRows(602_112, 1_000)).toBe(13);
    expect(warmUpRows(2 ** 27, 64)).toBe(1);
  });

  test('runs on every instance at the same time', async () => {
    let running = 0;
    let most = 0;
    const run: RunRows = async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      return OK;
    };
    await warmInstances(run, FP32_ROW, SHAPE, { rows: 2, instances: 3 });
    expect(most).toBe(3);
  });
});
