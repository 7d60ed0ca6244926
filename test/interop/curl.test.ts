/** curl, with the commands of docs/clients.md. */

import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { startServer } from '../support/server.ts';
import { documented, MODELS, runDocumented } from './documented.ts';

const skipped = spawnSync('curl', ['--version']).status !== 0;
if (skipped) console.warn('SKIPPED: there is no curl');

describe.skipIf(skipped)('curl', () => {
  test('reads metadata, and sends an image as numbers', async () => {
    await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
    const [metadata, answer] = await Promise.all(
      documented('curl', 'sh').map(async (command) => {
        const { code, stdout, stderr } = await runDocumented(server, command, []);
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        return JSON.parse(stdout);
      }),
    );
    expect(metadata).toMatchObject({ name: 'cifar10', versions: ['1', '2'] });
    expect(answer).toMatchObject({ model_name: 'cifar10', model_version: '2' });
    const probabilities: number[] = answer.outputs[0].data;
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 4);
  });
});
