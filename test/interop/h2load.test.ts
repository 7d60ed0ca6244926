/** h2load, a load generator on nghttp2: a peer whose HTTP/2 is neither Node's nor ours. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Listen, Method } from '../../src/gateway/accept/call.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { type CallEnded, diagnostics } from '../../src/gateway/ops/diagnostics.ts';
import { TlsIdentity } from '../../src/http2/tls-identity.ts';
import { hasOpenssl, makeAuthority, makeCertificate } from '../http2/certificates.ts';
import { output } from '../support/run-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { h2load } from '../tools/tools.ts';
import { OPTIONS, TRANSPORTS } from './transports.ts';

const PATH = '/test.Service/Echo';
const CALLS = 2_000;
/** Longer than the windows that HTTP/2 begins with. */
const MESSAGE_BYTES = 100_000;

const program = h2load();
if (program === undefined) console.warn('SKIPPED: h2load is not installed (test/tools/setup.sh does)');
const canMake = hasOpenssl();
if (!canMake) console.warn('SKIPPED: openssl is not installed, so there are no certificates');

const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };

/** Fails unless every call is answered with 200, the status OK, and as many bytes as it sent. */
async function expectAllAnswered(listen: Listen, scheme: 'http' | 'https'): Promise<void> {
  const request = path.join(temporaryDirectory(), 'request');
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(MESSAGE_BYTES, 1);
  fs.writeFileSync(request, Buffer.concat([prefix, Buffer.alloc(MESSAGE_BYTES, 'tensor')]));
  // h2load counts only `:status`, which is 200 also for a call that fails.
  const ended: string[] = [];
  const unsubscribe = diagnostics.callEnded.subscribe(({ status }: CallEnded) => ended.push(status));
  const transport = await listen(OPTIONS, new Map([[PATH, echo]]));

  const text = await output(program ?? '', [
    ...['-n', String(CALLS), '-c', '4', '-m', '16', '-d', request],
    ...['-H', 'content-type: application/grpc', '-H', 'te: trailers'],
    `${scheme}://${OPTIONS.host}:${transport.port}${PATH}`,
  ]);
  await transport.drain(5_000);
  unsubscribe();

  expect(text).toContain(
    `requests: ${CALLS} total, ${CALLS} started, ${CALLS} done, ${CALLS} succeeded, 0 failed, 0 errored, 0 timeout`,
  );
  expect(text).toContain(`status codes: ${CALLS} 2xx, 0 3xx, 0 4xx, 0 5xx`);
  expect(text).toContain(`(${CALLS * (5 + MESSAGE_BYTES)}) data`);
  expect(ended).toHaveLength(CALLS);
  expect(new Set(ended)).toEqual(new Set(['OK']));
}

describe.skipIf(program === undefined)(`h2load has all of ${CALLS} calls answered`, () => {
  test.each(TRANSPORTS)('over $name', ({ listen }) => expectAllAnswered(listen, 'http'));

  test.skipIf(!canMake)('over h2 with TLS', async () => {
    const directory = temporaryDirectory();
    const identity = makeCertificate(directory, 'server', makeAuthority(directory, 'root'));
    await expectAllAnswered(http2Listener({ tls: await TlsIdentity.load(identity) }), 'https');
  });
});
