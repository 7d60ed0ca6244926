/** schemathesis reads the OpenAPI document, and makes up requests that fit it and that do not: is REST what it says? */

import { describe, expect, test } from 'vitest';
import { SERVED } from '../e2e/protocol-requests.ts';
import { runProgram } from '../support/run-program.ts';
import { useServer } from '../support/server-fixture.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { schemathesis } from '../tools/tools.ts';

const program = schemathesis();
if (program === undefined) console.warn('schemathesis is not installed (test/tools/setup.sh): its tests are SKIPPED');

describe.skipIf(program === undefined)('schemathesis', () => {
  const fixture = useServer(
    { sum: SERVED.sum },
    { flags: ['--log-level', 'silent', '--model-control-mode', 'explicit', '--load-model', 'sum'] },
  );

  test('finds no answer that the document does not promise', async () => {
    const { code, stdout, stderr } = await runProgram(
      program ?? '',
      [
        ...['run', `${fixture.server.http}/v2/openapi.json`, '--max-examples', '15', '--seed', '1', '--no-color'],
        // JSON Schema cannot say that a shape fits its data.
        ...['--exclude-checks', 'positive_data_acceptance'],
        // A clear 501 is what they are for.
        ...['--exclude-path-regex', 'region/\\{region\\}/register$'],
      ],
      { cwd: temporaryDirectory() },
    );
    expect({ code, stdout, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/\d+ generated, \d+ passed/);
  }, 120_000);
});
