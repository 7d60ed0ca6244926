/** ghz, which learns the messages by reflection, with the command of docs/clients.md. */

import { describe, expect, test } from 'vitest';
import { startServer } from '../support/server.ts';
import { ghz } from '../tools/tools.ts';
import { documented, MODELS, runDocumented } from './documented.ts';

const program = ghz();
if (program === undefined) console.warn('SKIPPED: ghz is not installed (test/tools/setup.sh does)');

describe.skipIf(program === undefined)('ghz', () => {
  test('has every one of its requests answered', async () => {
    await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
    const [command = ''] = documented('ghz', 'sh');
    const { code, stdout, stderr } = await runDocumented(server, command, [program ?? '']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/Count:\s+300\n/);
    expect(stdout).toMatch(/Status code distribution:\s+\[OK\]\s+300 responses\s*$/);
  });
});
