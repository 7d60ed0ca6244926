import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type NpyArray, writeNpz } from '../../../src/gateway/repository/npz-archive.ts';
import { output } from '../../support/run-program.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { pythonWithTritonClient } from '../../tools/tools.ts';

// It brings numpy.
const python = pythonWithTritonClient();
if (python === undefined) console.warn('SKIPPED: tritonclient is not installed (test/tools/setup.sh does)');

describe.skipIf(python === undefined)('numpy', () => {
  test('reads the archives that are written here', async () => {
    const floats = new Uint8Array(Float32Array.of(1.5, -2, 3, 4, 5, 6).buffer);
    const arrays = new Map<string, NpyArray>([
      ['input.x', { datatype: 'FP32', shape: [2, 3], data: floats }],
      ['output.y', { datatype: 'INT64', shape: [2], data: new Uint8Array(BigInt64Array.of(7n, -8n).buffer) }],
      ['flags', { datatype: 'BOOL', shape: [1, 2], data: Uint8Array.of(1, 0) }],
    ]);
    const file = path.join(temporaryDirectory(), 'rows.npz');
    fs.writeFileSync(file, await writeNpz(arrays));
    const program =
      'import json, sys, numpy; print(json.dumps({k: [str(v.dtype), v.tolist()] for k, v in numpy.load(sys.argv[1]).items()}))';
    expect(JSON.parse(await output(python ?? '', ['-c', program, file]))).toEqual({
      'input.x': [
        'float32',
        [
          [1.5, -2, 3],
          [4, 5, 6],
        ],
      ],
      'output.y': ['int64', [7, -8]],
      flags: ['bool', [[true, false]]],
    });
  });
});
