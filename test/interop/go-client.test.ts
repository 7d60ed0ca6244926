/** A client in Go, of stubs that are generated from proto/ here and now, with the commands of docs/clients.md. */

import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { startServer } from '../support/server.ts';
import { goToolchain } from '../tools/tools.ts';
import { documented, MODELS, runDocumented } from './documented.ts';

const toolchain = goToolchain();
if (toolchain === undefined)
  console.warn('SKIPPED: no Go, no buf or no protoc-gen-go (test/tools/setup.sh installs those)');

describe.skipIf(toolchain === undefined)('a client in Go', () => {
  test('asks, infers and streams', async () => {
    await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
    const [commands = ''] = documented('Go, and every other language', 'sh');
    const programs = Object.values(toolchain ?? {});
    const { code, stdout, stderr } = await runDocumented(server, commands, programs, path.dirname(MODELS));
    // Go says on stderr what it downloads.
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const probabilities = expect.closeTo(1, 4);
    const unknown = "Request for unknown model: 'nope' is not found";
    expect(JSON.parse(stdout)).toEqual({
      live: true,
      ready: true,
      health: 'SERVING',
      metadata: {
        versions: ['1', '2'],
        inputs: [{ name: 'image', datatype: 'UINT8', shape: [-1, 3, 32, 32] }],
        outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 10] }],
      },
      answer: { id: 'one', sum: probabilities },
      stream: [{ id: 'first', sum: probabilities }, { error: unknown }, { id: 'last', sum: probabilities }],
      refusal: { code: 'NotFound', message: unknown },
    });
  }, 600_000);
});
