import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, test } from 'vitest';

import { HOSTILE_MESSAGES } from './hostile-messages.ts';
import type { Growth } from './measure-growth.ts';

/** What one message may cost, in its own bytes. Only the structure of a request is bounded: at most so many objects. */
const MAX_GROWTH = 4;

describe.each([1, 4])('messages of %d MiB', async (mebibytes) => {
  const growths = await measureGrowths(mebibytes * 2 ** 20);
  const growthOf = (name: string): Growth => growths.get(name) ?? expect.unreachable(`no measurement of ${name}`);

  test.each(HOSTILE_MESSAGES)(`$name: $outcome, within its bound`, ({ name, outcome, maxGrowth = MAX_GROWTH }) => {
    const growth = growthOf(name);
    expect(growth).toMatchObject({ outcome, collections: 0 });
    expect(growth.grown).toBeLessThan(maxGrowth * growth.bytes);
  });

  test('the measurement sees a decoder that builds every entry', () => {
    const growth = growthOf('protobufjs');
    expect(growth.collections > 0 || growth.grown > 4 * MAX_GROWTH * growth.bytes).toBe(true);
  });
});

async function measureGrowths(size: number): Promise<Map<string, Growth>> {
  const script = fileURLToPath(new URL('measure-growth.ts', import.meta.url));
  const flags = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=128'];
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, script, String(size)]);
  const growths = JSON.parse(stdout) as Growth[];
  return new Map(growths.map((growth) => [growth.name, growth]));
}
