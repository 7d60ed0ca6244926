import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { InputRecorder, type RecorderOptions } from '../../../src/gateway/models/input-recorder.ts';
import type { Servable } from '../../../src/gateway/models/servable.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { readNpz } from '../../../src/gateway/repository/npz-archive.ts';
import type { ModelTensor } from '../../../src/gateway/repository/signature/row-axis.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const X: ModelTensor = { name: 'x', datatype: 'UINT8', shape: [-1, 2] };

/** What of a model matters here. */
function servable(inputs: readonly ModelTensor[] = [X], axis: 'rows' | 'whole' = 'rows') {
  const signature = { inputs, outputs: [], batching: { kind: 'on', maxRows: 8 } };
  return { ref: { name: 'm', version: '1' }, ready: { signature, axis } } as unknown as Pick<Servable, 'ref' | 'ready'>;
}

/** A request of rows of two bytes. */
function rows(...values: readonly number[]) {
  const data = Uint8Array.from(values.flatMap((value) => [value, value]));
  return {
    rows: values.length,
    bytes: data.byteLength,
    size: UNIT_ROW,
    bucket: '',
    inputs: [data],
    shapes: [[values.length, 2]],
  };
}

function recorder(options: Partial<RecorderOptions> = {}): InputRecorder & { readonly directory: string } {
  const directory = temporaryDirectory();
  return Object.assign(new InputRecorder({ directory, rows: 3, ...options }), { directory });
}

/** The first byte of each row that was kept, by file. */
async function kept(directory: string): Promise<Record<string, number | undefined>> {
  const folder = path.join(directory, 'm');
  const read = async (name: string): Promise<number | undefined> =>
    (await readNpz(fs.readFileSync(path.join(folder, name)))).get('input.x')?.data[0];
  const names = fs.readdirSync(folder);
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
}

describe('recording', () => {
  test('keeps the first rows, one in a file, as numpy has them', async () => {
    const made = recorder();
    made.sample(servable(), rows(1, 2));
    await made.close();
    expect(await kept(made.directory)).toEqual({ 'row-00000.npz': 1, 'row-00001.npz': 2 });
    const [file] = fs.readdirSync(path.join(made.directory, 'm'));
    expect((await readNpz(fs.readFileSync(path.join(made.directory, 'm', file!)))).get('input.x')).toMatchObject({
      datatype: 'UINT8',
      shape: [1, 2],
    });
  });

  test('is readable only by the user of the server', async () => {
    const made = recorder();
    made.sample(servable(), rows(1));
    await made.close();
    const folder = path.join(made.directory, 'm');
    expect(fs.statSync(folder).mode & 0o777).toBe(0o700);
    expect(fs.statSync(path.join(folder, 'row-00000.npz')).mode & 0o777).toBe(0o600);
  });

  test('puts a later row in the place of one that is drawn, or passes it over', async () => {
    // For the fourth row 0.4 · 4 is place 1; for the fifth 0.9 · 5 is no place of three.
    const draws = [0.4, 0.9];
    const made = recorder({ random: () => draws.shift()! });
    made.sample(servable(), rows(1, 2, 3, 4, 5));
    await made.close();
    expect(Object.values(await kept(made.directory))).toEqual([1, 4, 3]);
  });

  test('is a fair sample: each row is kept with the same probability', async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const counts = Array<number>(10).fill(0);
    for (let run = 0; run < 100; run++) {
      const made = recorder({ random, rows: 5 });
      made.sample(servable(), rows(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
      await made.close();
      for (const value of Object.values(await kept(made.directory))) counts[value!]!++;
    }
    // 50 of 100 each, with a standard deviation of 5.
    for (const count of counts) expect(Math.abs(count - 50)).toBeLessThan(25);
  });

  test('takes a copy: the message is gone when the row is written', async () => {
    const made = recorder();
    const request = rows(7);
    made.sample(servable(), request);
    request.inputs[0]!.fill(0);
    await made.close();
    expect(await kept(made.directory)).toEqual({ 'row-00000.npz': 7 });
  });

  test('finds rows that do not lie on axis 0', async () => {
    const made = recorder();
    const columns: ModelTensor = { name: 'x', datatype: 'UINT8', shape: [2, -1], rowAxis: 1 };
    const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
    made.sample(servable([columns]), {
      rows: 3,
      bytes: 6,
      size: UNIT_ROW,
      bucket: '',
      inputs: [data],
      shapes: [[2, 3]],
    });
    await made.close();
    const file = path.join(made.directory, 'm/row-00001.npz');
    expect([...(await readNpz(fs.readFileSync(file))).get('input.x')!.data]).toEqual([2, 5]);
  });

  test('leaves models out whose inputs numpy cannot hold, and says so once', async () => {
    const notices: string[] = [];
    onTestFinished(diagnostics.notice.subscribe(({ text }) => notices.push(text)));
    const made = recorder();
    const texts: ModelTensor = { name: 't', datatype: 'BYTES', shape: [-1, 1] };
    for (let request = 0; request < 2; request++) made.sample(servable([texts]), rows(1));
    await made.close();
    expect(notices).toEqual(["requests of model 'm' are not recorded: its input 't' is BYTES"]);
    expect(fs.readdirSync(made.directory)).toEqual([]);
  });

  test('goes on where nothing can be written, and says so once', async () => {
    const notices: string[] = [];
    onTestFinished(diagnostics.notice.subscribe(({ text }) => notices.push(text)));
    const file = path.join(temporaryDirectory(), 'file');
    fs.writeFileSync(file, '');
    const made = recorder({ directory: file });
    made.sample(servable(), rows(1, 2));
    await made.close();
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(/^a row was not recorded: E(NOTDIR|EXIST)/);
  });
});
