/** Triton's own Python client as an operator: `tritonclient_control_judge.py` prints the answers that it got. */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { output } from '../support/run-program.ts';
import { startServer } from '../support/server.ts';
import type { Message } from '../support/stock-client.ts';
import { pythonWithTritonClient } from '../tools/tools.ts';

const JUDGE = fileURLToPath(new URL('tritonclient_control_judge.py', import.meta.url));
const python = pythonWithTritonClient();
if (python === undefined) console.warn('SKIPPED: no Python has tritonclient (test/tools/setup.sh installs it)');

describe.skipIf(python === undefined)('tritonclient as an operator', () => {
  describe.each([
    ['grpc', 'StatusCode.NOT_FOUND', 'StatusCode.INVALID_ARGUMENT'],
    ['http', '404', '400'],
  ])('over %s', (protocol, notFound, invalid) => {
    let judged: Message;

    beforeAll(async () => {
      using repository = new Repository({ echo: identityModel('FP32'), broken: Buffer.from('no model') });
      const flags = ['--log-level', 'fatal', '--model-control-mode', 'explicit', '--allow-model-upload', 'true'];
      await using server = await startServer(repository.directory, { flags });
      const address = protocol === 'grpc' ? server.grpc : server.http.replace('http://', '');
      const file = path.join(repository.directory, 'echo/1/model.onnx');
      judged = JSON.parse(await output(python ?? '', [JUDGE, protocol, address, file]));
    });

    test('finds models on disk that are not loaded', () => {
      expect(judged['before']).toEqual({
        index: [
          ['broken', '', '', ''],
          ['echo', '', '', ''],
        ],
        ready: false,
        infer: { status: notFound, message: "Request for unknown model: 'echo' is not found" },
      });
    });

    test('loads one', () => {
      expect(judged['loaded']).toEqual({
        index: [
          ['broken', '', '', ''],
          ['echo', '1', 'READY', ''],
        ],
        ready: true,
        infer: { same: true, version: '1' },
      });
    });

    test('loads one with the configuration that it has read', () => {
      expect(judged['with_its_own_configuration']).toBe(true);
    });

    test('loads one with another configuration', () => {
      expect(judged['with_another_configuration']).toEqual({
        max_batch_size: 3,
        infer: { status: invalid, message: expect.stringContaining('3') },
      });
    });

    test('loads a model that is only in the request', () => {
      expect(judged['from_a_request']).toEqual({
        answered: { same: true, version: '7' },
        afterwards: { status: notFound, message: expect.stringContaining("'fresh'") },
      });
    });

    test.each([
      ['unknown', 'nope'],
      ['broken', 'broken'],
      ['configuration', 'echo'],
    ])('reads why it could not be loaded: %s', (what, name) => {
      expect(judged['failures'][what]).toEqual({ status: expect.any(String), message: expect.stringContaining(name) });
    });

    test('unloads one that served on while others failed', () => {
      expect(judged['unloaded']).toEqual({
        served: { same: true, version: '1' },
        ready: false,
        infer: { status: notFound, message: expect.stringContaining("'echo'") },
      });
    });
  });
});
