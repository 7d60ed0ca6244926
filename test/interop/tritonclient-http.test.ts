/** Triton's own Python client over HTTP, unchanged: `tritonclient_http_judge.py` prints the answers that it got. */

import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { output } from '../support/run-program.ts';
import { startServer } from '../support/server.ts';
import type { Message } from '../support/stock-client.ts';
import { pythonWithTritonClient } from '../tools/tools.ts';
import { DATATYPES } from './datatypes.ts';
import { addressedTo, documented, MODELS } from './documented.ts';

const JUDGE = fileURLToPath(new URL('tritonclient_http_judge.py', import.meta.url));
const python = pythonWithTritonClient();
if (python === undefined) console.warn('SKIPPED: no Python has tritonclient (test/tools/setup.sh installs it)');

describe.skipIf(python === undefined)('tritonclient over HTTP', () => {
  let judged: Message;

  beforeAll(async () => {
    const config = { instance_group: [{ count: 1 }], tensorgate: { runner: 'all' } };
    using repository = new Repository();
    repository.add('echo', { versions: { 1: identityModel('FP32') }, config });
    for (const datatype of DATATYPES) {
      repository.add(`echo_${datatype}`, { versions: { 1: identityModel(datatype) }, config });
    }
    await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
    judged = JSON.parse(await output(python ?? '', [JUDGE, server.http.replace('http://', '')]));
  });

  test('asks whether the server and its models are ready', () => {
    expect(judged['live_and_ready']).toEqual([true, true, true, false]);
  });

  test('reads metadata, configuration and the index', () => {
    const tensor = { datatype: 'FP32', shape: [-1, 4] };
    expect(judged['server_metadata']).toMatchObject({
      name: 'tensorgate',
      extensions: expect.arrayContaining(['binary_tensor_data', 'statistics']),
    });
    expect(judged['model_metadata']).toEqual({
      name: 'echo',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'input', ...tensor }],
      outputs: [{ name: 'output', ...tensor }],
    });
    expect(judged['model_config']).toMatchObject({
      name: 'echo',
      backend: 'onnxruntime',
      max_batch_size: 64,
      input: [{ name: 'input', data_type: 'TYPE_FP32', dims: [4] }],
    });
    expect(judged['repository']).toContainEqual({ name: 'echo_BYTES', version: '1', state: 'READY' });
  });

  test('gets its tensors back as bytes, whatever their datatype', () => {
    expect(judged['binary']).toEqual(Object.fromEntries(DATATYPES.map((datatype) => [datatype, true])));
  });

  test('gets its tensors back as numbers, where JSON has such', () => {
    const inJson = DATATYPES.filter((datatype) => datatype !== 'FP16' && datatype !== 'BF16');
    expect(judged['numbers']).toEqual(Object.fromEntries(inJson.map((datatype) => [datatype, true])));
    expect(judged['bytes_to_numbers']).toEqual({ same: true, id: 'm1', version: '1' });
  });

  test('asks for classes', () => {
    expect(judged['classes']).toEqual(['3.000000:0', '2.000000:2']);
  });

  test('sends parameters, and compressed requests, and reads compressed answers', () => {
    expect(judged['parameters']).toBe(true);
    expect(judged['compressed']).toEqual({ gzip: true, deflate: true });
  });

  test('asks many things at a time', () => {
    expect(judged['at_a_time']).toBe(50);
  });

  test.each([
    ['unknown model', '404', "Request for unknown model: 'nope' is not found"],
    ['unknown version', '404', "Request for unknown model: 'echo' version 9 is not found"],
    ['shape', '400', "unexpected shape for input 'input' for model 'echo'. Expected [-1,4], got [1,5]"],
    ['datatype', '400', "inference input 'input' data-type is 'INT32', but model 'echo' expects 'FP32'"],
    ['output', '400', "unexpected inference output 'nope' for model 'echo'"],
    ['metadata', '404', "Request for unknown model: 'nope' is not found"],
    ['load', '400', 'explicit model load / unload is not allowed'],
  ])('reads why a call failed: %s', (what, status, message) => {
    expect(judged['failures'][what]).toEqual({ status, message: expect.stringContaining(message) });
  });

  test('reads and changes the trace settings and the log settings', () => {
    expect(judged['trace_settings']).toMatchObject({ trace_level: ['OFF'], trace_count: '-1' });
    expect(judged['log_settings']).toEqual({ changed: 1, same: true });
  });

  test('finds no shared memory to clean up', () => {
    expect(judged['shared_memory']).toEqual([]);
  });

  test('reads statistics that hold together', () => {
    const [statistics] = judged['statistics'];
    const { success, queue, compute_infer } = statistics.inference_stats;
    expect(success.count).toBeGreaterThan(50);
    expect([queue.count, compute_infer.count]).toEqual([success.count, success.count]);
  });

  test('runs the program of docs/clients.md', async () => {
    await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
    const [, program = ''] = documented('tritonclient', 'python');
    const printed = await output(python ?? '', ['-'], { input: addressedTo(server, program) });
    expect(printed.match(/\d\.\d+(?:e-\d+)?/g)).toHaveLength(10);
  });
});
