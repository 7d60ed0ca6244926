/** A client in Java (grpc-java, on Netty), of stubs that are generated from proto/ here and now, with the commands of docs/clients.md. */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { output } from '../support/run-program.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { javaToolchain } from '../tools/tools.ts';
import { documented, MODELS, runDocumented } from './documented.ts';
import { TRANSPORTS } from './transports.ts';

const JAR = fileURLToPath(new URL('java-client/target/java-client.jar', import.meta.url));
const toolchain = javaToolchain();
if (toolchain === undefined)
  console.warn('SKIPPED: no Java, no Maven, or not what the client needs of it (test/tools/setup.sh fetches that)');

const TOLD = {
  live: 'true',
  ready: 'true',
  health: 'SERVING',
  versions: '[1, 2]',
  input: 'UINT8[-1, 3, 32, 32]',
  infer: 'one 1.00',
  'infer a batch': 'many 64.00',
  'infer gzip': 'gzip 64.00',
  metadata: 'version 1',
  stream: "[first 1.00, Request for unknown model: 'nope' is not found, last 1.00]",
  'cancelled stream': 'CANCELLED',
  deadline: 'DEADLINE_EXCEEDED',
  'unknown model': "NOT_FOUND, Request for unknown model: 'nope' is not found",
  'wrong shape':
    "INVALID_ARGUMENT, unexpected shape for input 'image' for model 'cifar10'. Expected [-1,3,32,32], got [1,3,32,31]",
  'after all': 'again 1.00',
};

describe.skipIf(toolchain === undefined)('a client in Java', () => {
  test('is built by the documented commands, and asks, infers, streams, cancels and fails', async () => {
    await using server = await serve('h2');
    const { java = '', mvn = '', repository = '' } = toolchain ?? {};
    const [commands = ''] = documented('Java', 'sh');
    const env = { MAVEN_OPTS: `-Dmaven.repo.local=${repository}` };
    const { code, stdout, stderr } = await runDocumented(server, commands, [java, mvn], path.dirname(MODELS), env);
    // Maven says on stderr what it thinks of its own dependencies.
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(toldBy(stdout)).toEqual(TOLD);
  }, 600_000);

  test.each(TRANSPORTS)('gets the same over $name', async ({ name }) => {
    await using server = await serve(name);
    expect(toldBy(await output(toolchain?.java ?? '', ['-jar', JAR, server.grpc]))).toEqual(TOLD);
  });
});

function serve(transport: string): Promise<TestServer> {
  return startServer(MODELS, { flags: ['--log-level', 'error', '--transport', transport] });
}

/** The answers by question: `question: answer`, a line each. Maven leaves the codes that switch colours off. */
function toldBy(stdout: string): Readonly<Record<string, string>> {
  const lines = stripVTControlCharacters(stdout)
    .split('\n')
    .filter((line) => line.includes(': '));
  return Object.fromEntries(lines.map((line) => line.split(/: (.*)/, 2)));
}
