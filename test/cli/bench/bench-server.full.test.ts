/** The command against our server, over each protocol. */

import { expect, test } from 'vitest';
import { parseResult } from '../../../src/bench/result.ts';
import { identityModel } from '../../support/onnx-models.ts';
import { useServer } from '../../support/server-fixture.ts';
import { runCommandLine } from '../command-line.ts';

const fixture = useServer({ identity: identityModel('FP32') });

test.each(['grpc', 'rest', 'rest-binary'])(
  '%s: calls are answered, and the server says what it did',
  async (protocol) => {
    const { server } = fixture;
    const url = protocol === 'grpc' ? server.grpc : server.http.replace('http://', '');
    const load = ['--rate', '40', '--duration', '1s', '--warm-up', '200ms', '--slo', '60s', '--json'];
    const { code, stdout, stderr } = await runCommandLine([
      'bench',
      'identity',
      '--url',
      url,
      '--protocol',
      protocol,
      ...load,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [level] = parseResult(stdout).levels;
    expect(level).toMatchObject({ ratePerS: 40, failures: {}, slo: { verdict: 'met', withinShare: 1 } });
    expect(level?.answered).toBe(level?.calls);
    expect(level?.server?.requests).toBeGreaterThan(0);
    expect(level?.server?.rowsPerBatch).toBeGreaterThanOrEqual(1);
  },
);
