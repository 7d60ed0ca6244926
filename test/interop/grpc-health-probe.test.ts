/** The probe that Kubernetes manifests call, with the commands of docs/clients.md. */

import { describe, expect, test } from 'vitest';
import { runProgram } from '../support/run-program.ts';
import { startServer } from '../support/server.ts';
import { grpcHealthProbe } from '../tools/tools.ts';
import { documented, MODELS, runDocumented } from './documented.ts';

const program = grpcHealthProbe();
if (program === undefined) console.warn('SKIPPED: grpc-health-probe is not installed (test/tools/setup.sh does)');

describe.skipIf(program === undefined)('grpc-health-probe', () => {
  test('finds the server and its model serving, and no other', async () => {
    await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
    const [commands = ''] = documented('Health', 'sh');
    const { code, stdout, stderr } = await runDocumented(server, commands, [program ?? '']);
    expect({ code, probed: stdout + stderr }).toEqual({ code: 0, probed: 'status: SERVING\nstatus: SERVING\n' });
    const unknown = await runProgram(program ?? '', ['-addr', server.grpc, '-service', 'nope']);
    expect(unknown.code).toBe(3);
    expect(unknown.stderr).toContain('NotFound');
  });
});
