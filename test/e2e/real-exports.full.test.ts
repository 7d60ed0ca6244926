/** Models as their authors exported them, without a configuration: rows share batches, and larger requests are split. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { magika, miniLm } from '../tools/tools.ts';

/** As a share of the largest value of an answer. */
const TOLERANCE = 1e-5;
const ROWS = 100;
const below = (count: number, elements: number): number[] =>
  Array.from({ length: elements }, (_, index) => (index * 7_919) % count);

/** What a request of these rows holds. */
type InputsOf = (rows: readonly number[]) => Parameters<InferenceClient['infer']>[1];

const EXPORTS: readonly {
  readonly name: string;
  readonly bytes: Uint8Array | undefined;
  readonly inputsOf: InputsOf;
}[] = [
  {
    name: 'magika',
    bytes: magika(),
    inputsOf: (rows) => ({
      bytes: tensor.int32(
        rows.flatMap((row) => below(257 - row, 2_048)),
        [rows.length, 2_048],
      ),
    }),
  },
  {
    name: 'MiniLM',
    bytes: miniLm(),
    inputsOf: (rows) => {
      const shape = [rows.length, 8];
      const of = (holds: (index: number) => number) =>
        tensor.int64(
          rows.flatMap((row) => below(2, 8).map((_, index) => BigInt(holds(8 * row + index)))),
          shape,
        );
      return {
        input_ids: of((index) => 1_000 + ((index * 31) % 20_000)),
        attention_mask: of(() => 1),
        token_type_ids: of(() => 0),
      };
    },
  },
];

describe.each(EXPORTS)('$name', ({ name, bytes, inputsOf }) => {
  test.skipIf(bytes === undefined)(
    'answers each row of a request of many batches as it answers the row by itself',
    async () => {
      using repository = new Repository({ model: bytes ?? new Uint8Array() });
      await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
      expect(server.lines[0], name).toContain('batching on (axis 0, max 64 rows');
      using client = new InferenceClient(server.grpc, { deadlineMs: 60_000 });
      const all = Array.from({ length: ROWS }, (_, row) => row);
      const [whole] = (await client.infer('model', inputsOf(all))).outputs.values();
      if (whole?.datatype !== 'FP32') throw new Error('FP32 is expected');
      expect(whole.shape[0]).toBe(ROWS);
      const width = whole.data.length / ROWS;
      const largest = whole.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (const row of [0, 1, 63, 64, ROWS - 1]) {
        const [single] = (await client.infer('model', inputsOf([row]))).outputs.values();
        if (single?.datatype !== 'FP32') throw new Error('FP32 is expected');
        const off = single.data.map((value, index) =>
          Math.abs(value - (whole.data[row * width + index] ?? Number.NaN)),
        );
        expect(Math.max(...off)).toBeLessThanOrEqual(TOLERANCE * largest);
      }
    },
  );
});
