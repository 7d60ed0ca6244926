/** KServe's own Python client, with the program of docs/clients.md. */

import { describe, expect, test } from 'vitest';
import { runProgram } from '../support/run-program.ts';
import { startServer } from '../support/server.ts';
import { pythonWithKserve } from '../tools/tools.ts';
import { addressedTo, documented, MODELS } from './documented.ts';

const python = pythonWithKserve();
if (python === undefined) console.warn("SKIPPED: no Python has KServe's client (test/tools/setup.sh installs it)");

describe.skipIf(python === undefined)("KServe's client", () => {
  test('finds the server live, server and model ready, and gets ten probabilities', async () => {
    await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
    const programs = documented("KServe's client", 'python');
    expect(programs.length, 'over gRPC and over REST').toBe(2);
    for (const program of programs) {
      const { code, stdout, stderr } = await runProgram(python ?? '', ['-'], { input: addressedTo(server, program) });
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(stdout).toMatch(/^True True True\n/);
      expect(sumOf(stdout)).toBeCloseTo(1, 3);
    }
  });
});

/** The sum of an array as NumPy prints it. */
function sumOf(printed: string): number {
  const numbers = (printed.match(/-?\d\.\d*(?:e-?\d+)?/g) ?? []).map(Number);
  expect(numbers).toHaveLength(10);
  return numbers.reduce((sum, number) => sum + number, 0);
}
