/** Triton's own Python client, unchanged: `tritonclient_judge.py` prints the answers that it got, as one JSON object. */

import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { halfPrecisionModel, identityModel, loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { output } from '../support/run-program.ts';
import { startServer } from '../support/server.ts';
import type { Message } from '../support/stock-client.ts';
import { pythonWithTritonClient } from '../tools/tools.ts';
import { DATATYPES } from './datatypes.ts';
import { addressedTo, documented, MODELS } from './documented.ts';
import { MODELS as RECORDED_MODELS } from './triton-models.ts';

const JUDGE = fileURLToPath(new URL('tritonclient_judge.py', import.meta.url));
const python = pythonWithTritonClient();
if (python === undefined) console.warn('SKIPPED: no Python has tritonclient (test/tools/setup.sh installs it)');

describe.skipIf(python === undefined)('tritonclient', () => {
  let judged: Message;

  beforeAll(async () => {
    const config = { instance_group: [{ count: 1 }], tensorgate: { runner: 'all' } };
    using repository = new Repository();
    repository.add('half', { versions: { 1: halfPrecisionModel() }, config });
    repository.add('seq', RECORDED_MODELS.seq);
    repository.add('repeat', RECORDED_MODELS.repeat);
    repository.add('loop', { versions: { 1: loopModel() }, config });
    repository.add('echo', { versions: { 1: identityModel('FP32') }, config });
    for (const datatype of DATATYPES) {
      repository.add(`echo_${datatype}`, { versions: { 1: identityModel(datatype) }, config });
    }
    await using server = await startServer(repository.directory, {
      flags: ['--log-level', 'error', '--allow-code-models'],
    });
    judged = JSON.parse(await output(python ?? '', [JUDGE, server.grpc]));
  });

  test('asks whether the server and its models are ready', () => {
    expect(judged['live_and_ready']).toEqual([true, true, true, false]);
  });

  test('reads metadata and configuration', () => {
    const tensor = { datatype: 'FP32', shape: ['-1', '4'] };
    expect(judged['server_metadata']).toMatchObject({
      name: 'tensorgate',
      extensions: expect.arrayContaining(['statistics']),
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
      input: [{ name: 'input', data_type: 'TYPE_FP32', dims: ['4'] }],
      dynamic_batching: { preferred_batch_size: [64] },
    });
  });

  test('gets its tensors back, bit by bit, whatever their datatype', () => {
    expect(judged['fp32']).toEqual({ same: true, id: 'p1', version: '1' });
    expect(judged['every_datatype']).toEqual(Object.fromEntries(DATATYPES.map((datatype) => [datatype, true])));
  });

  test('runs a model in half precision', () => {
    expect(judged['fp16']).toEqual({ dtype: 'float16', shape: [2, 3], zero: true });
  });

  test('asks for classes', () => {
    expect(judged['requested_output_with_classes']).toEqual(['3.000000:0', '2.000000:2']);
  });

  test('sends parameters, and compressed requests', () => {
    expect(judged['parameters']).toBe(true);
    expect(judged['compressed']).toEqual({ gzip: true, deflate: true });
  });

  test('asks many things at a time, with callbacks and with coroutines', () => {
    expect({ callbacks: judged['callbacks'], coroutines: judged['coroutines'] }).toEqual({
      callbacks: 50,
      coroutines: 50,
    });
  });

  test('streams, and learns in the stream what failed', () => {
    expect(judged['stream']).toEqual([
      { id: '1', final: true, same: true },
      { error: "Request for unknown model: 'nope' is not found" },
      { id: '3', final: true, same: true },
    ]);
  });

  test('streams any number of answers to a request of a decoupled model', () => {
    const answer = (id: string, value: number | null) => ({ id, value, final: value === null });
    expect(judged['decoupled']).toEqual([
      ...[0, 1, 2, null].map((value) => answer('three', value)),
      answer('none', null),
      ...[0, 1].map((value) => answer('two', value)),
      answer('end', null),
    ]);
  });

  test('keeps sequences apart, over calls and over a stream', () => {
    expect(judged['sequences']).toEqual({
      sums: [1, 10, 3, 30, 6, 60],
      streamed: [1, 3, 6],
      'after its end': {
        status: 'StatusCode.INVALID_ARGUMENT',
        message: expect.stringContaining('must specify the START flag'),
      },
    });
  });

  test.each([
    ['unknown model', 'NOT_FOUND', "Request for unknown model: 'nope' is not found"],
    ['unknown version', 'NOT_FOUND', "Request for unknown model: 'echo' version 9 is not found"],
    ['shape', 'INVALID_ARGUMENT', "unexpected shape for input 'input' for model 'echo'. Expected [-1,4], got [1,5]"],
    ['datatype', 'INVALID_ARGUMENT', "inference input 'input' data-type is 'INT32', but model 'echo' expects 'FP32'"],
    ['output', 'INVALID_ARGUMENT', "unexpected inference output 'nope' for model 'echo'"],
    // The text is the client's own (`Deadline Exceeded`), or the server's where that was first.
    ['deadline', 'DEADLINE_EXCEEDED', 'eadline'],
    ['load', 'FAILED_PRECONDITION', 'explicit model load / unload is not allowed'],
    ['unload', 'FAILED_PRECONDITION', 'explicit model load / unload is not allowed'],
    ['shared memory', 'UNIMPLEMENTED', 'SystemSharedMemoryRegister'],
    ['trace rate', 'INVALID_ARGUMENT', 'trace_rate'],
    ['log format', 'INVALID_ARGUMENT', 'log_format'],
  ])('reads why a call failed: %s', (what, status, message) => {
    expect(judged['failures'][what]).toEqual({
      status: `StatusCode.${status}`,
      message: expect.stringContaining(message),
    });
  });

  test('lists the models of the repository', () => {
    expect(judged['repository']).toHaveLength(DATATYPES.length + 5);
    expect(judged['repository']).toContainEqual({ name: 'echo_BYTES', version: '1', state: 'READY' });
  });

  test('reads and changes the trace settings and the log settings', () => {
    expect(judged['trace_settings']).toMatchObject({ trace_level: { value: ['OFF'] }, trace_count: { value: ['-1'] } });
    expect(judged['log_settings']).toEqual({ changed: { uint32_param: 1 }, same: true });
  });

  test('finds no shared memory to clean up', () => {
    expect(judged['shared_memory']).toEqual([{}, {}]);
  });

  test('reads statistics that hold together', () => {
    const [statistics] = judged['statistics'];
    const { success, queue, compute_input, compute_infer, compute_output } = statistics.inference_stats;
    expect(Number(success.count)).toBeGreaterThan(100);
    for (const duration of [queue, compute_input, compute_infer, compute_output])
      expect(duration.count).toBe(success.count);
    expect(Number(statistics.execution_count)).toBeLessThanOrEqual(Number(success.count));
  });

  test('runs the program of docs/clients.md', async () => {
    await using server = await startServer(MODELS, { flags: ['--log-level', 'error'] });
    const [program = ''] = documented('tritonclient', 'python');
    const printed = await output(python ?? '', ['-'], { input: addressedTo(server, program) });
    expect(printed.match(/b'0\.\d{6}:\d:[a-z]+'/g)).toHaveLength(3);
  });
});
