/** h2spec, which holds a server to RFC 9113 and RFC 7541 frame by frame, against the transport of our own. */

import { describe, expect, test } from 'vitest';
import { acceptorsListener } from '../../src/gateway/accept/acceptors/acceptors.ts';
import type { Listen, Method } from '../../src/gateway/accept/call.ts';
import { listenHttp2 } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { runProgram } from '../support/run-program.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { h2spec } from '../tools/tools.ts';

const PATH = '/test.Service/Method';
const CASES = 145;

const program = h2spec();
if (program === undefined) console.warn('SKIPPED: h2spec is not installed (test/tools/setup.sh does)');

describe.skipIf(program === undefined)('h2spec', () => {
  test.each<[who: string, listen: Listen]>([
    ['one thread', listenHttp2],
    ['two acceptors', acceptorsListener({ count: 2 })],
  ])(`passes all its ${CASES} cases against %s`, async (_, listen) => {
    const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };
    const transport = await listen(TRANSPORT_OPTIONS, new Map([[PATH, echo]]));
    const { code, stdout } = await runProgram(program ?? '', [
      ...['--host', '127.0.0.1', '--port', String(transport.port), '--path', PATH, '--timeout', '10'],
    ]);
    await transport.drain(0);
    expect(stdout).toContain(`${CASES} tests, ${CASES} passed, 0 skipped, 0 failed`);
    expect(code).toBe(0);
  });
});
