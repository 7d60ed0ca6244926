/** Repositories as people have them: with other things in them, files that are no models, and disks that answer slowly. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { additionModel, linkModel, mlpModel, overridableModel, withExternalData } from '../support/onnx-models.ts';
import { cpuOf } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { PATIENCE_MS } from '../support/runners.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import type { Message } from '../support/stock-client.ts';
import { StockClient } from '../support/stock-client.ts';

const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`;

function row(name: string, values: readonly number[]): Message {
  return { name, datatype: 'FP32', shape: [1, values.length], contents: { fp32_contents: values } };
}

async function get(server: TestServer, url: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${server.http}${url}`);
  return { status: response.status, text: await response.text() };
}

describe('a repository with foreign things in it', () => {
  test('is served, and is ready', async () => {
    using repository = new Repository({ m: additionModel(1) });
    for (const name of ['lost+found', '@eaDir', '__pycache__', '.snapshot/m/1']) {
      fs.mkdirSync(path.join(repository.directory, name), { recursive: true });
    }
    fs.writeFileSync(path.join(repository.directory, 'resnet.onnx'), '');
    await using server = await startServer(repository.directory);
    expect(await get(server, '/readyz')).toMatchObject({ status: 200 });
    using client = new StockClient(server.grpc);
    expect((await client.call('RepositoryIndex'))['models'].map(({ name }: Message) => name)).toEqual(['m']);
    await server.stop();
    const log = await server.log;
    expect(log).toContain('lost+found is ignored: it is not a model');
    expect(log).toMatch(/resnet\.onnx is not served: move it to \S+\/resnet\/1\/model\.onnx/);
  });

  test('is not one where it is the folder of a model: the server says what to give', async () => {
    using repository = new Repository({ m: additionModel(1) });
    const folder = path.join(repository.directory, 'm');
    await expect(startServer(folder)).rejects.toThrow(
      `'${folder}' is a model, not a repository of models: give its parent directory: npx tensorgate serve ${repository.directory}`,
    );
  });
});

describe('what a configuration narrows or moves', () => {
  const fixture = useServer({
    narrow: {
      versions: {
        1: linkModel(
          new Map([
            ['pooled', 'x'],
            ['hidden', 'x'],
          ]),
        ),
      },
      files: {
        'config.pbtxt': '\ufeffmax_batch_size: 8\r\noutput [ { name: "pooled" data_type: TYPE_FP32 dims: [ 3 ] } ]\r\n',
      },
    },
    nested: {
      versions: {},
      config: {
        default_model_filename: 'onnx/model.onnx',
        output: [{ name: 'y', label_filename: 'texts/labels.txt' }],
      },
      files: { '1/onnx/model.onnx': linked(), 'texts/labels.txt': '\ufeffa\r\nb\r\nc\r\n' },
    },
    dated: {
      versions: {},
      files: Object.fromEntries(
        ['9', '20240115120000', '9007199254740993', '9007199254740992'].map((v) => [`${v}/model.onnx`, linked()]),
      ),
    },
    fixed: {
      versions: { 1: overridableModel() },
      files: {
        'config.pbtxt':
          'input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }, { name: "offset" data_type: TYPE_FP32 dims: [ 3 ] optional: true } ]',
      },
    },
    mistaken: {
      versions: { 1: overridableModel() },
      files: { 'config.pbtxt': 'input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] optional: true } ]' },
    },
  });

  function linked(): Uint8Array {
    return linkModel(new Map([['y', 'x']]));
  }

  test('a list of outputs is all that metadata, configuration and answers have', async () => {
    const metadata = await fixture.client.call('ModelMetadata', { name: 'narrow' });
    expect(metadata['outputs'].map(({ name }: Message) => name)).toEqual(['pooled']);
    const { config } = await fixture.client.call('ModelConfig', { name: 'narrow' });
    expect(config['output'].map(({ name }: Message) => name)).toEqual(['pooled']);
    const request = { model_name: 'narrow', inputs: [row('x', [1, 2, 3])] };
    const { outputs } = await fixture.client.infer(request);
    expect(outputs).toMatchObject([{ name: 'pooled', contents: { fp32_contents: [1, 2, 3] } }]);
    expect(await fixture.client.refusal('ModelInfer', { ...request, outputs: [{ name: 'hidden' }] })).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test('model and label files may lie in folders', async () => {
    const { outputs } = await fixture.client.infer({
      model_name: 'nested',
      inputs: [row('x', [1, 3, 2])],
      outputs: [{ name: 'y', parameters: { classification: { int64_param: '1' } } }],
    });
    expect(String(outputs[0].contents.bytes_contents[0])).toMatch(/:1:b$/);
  });

  test('versions have up to 64 bits, none is taken for another, and the highest answers', async () => {
    const { versions } = await fixture.client.call('ModelMetadata', { name: 'dated' });
    expect(versions).toEqual(['9', '20240115120000', '9007199254740992', '9007199254740993']);
    const inputs = [row('x', [1, 2, 3])];
    expect(await fixture.client.infer({ model_name: 'dated', inputs })).toMatchObject({
      model_version: '9007199254740993',
    });
    const asked = { model_name: 'dated', model_version: '9007199254740992', inputs };
    expect(await fixture.client.infer(asked)).toMatchObject({ model_version: '9007199254740992' });
    const { text } = await get(fixture.server, '/v2/models/dated/versions/20240115120000');
    expect(JSON.parse(text)).toMatchObject({ versions: ['20240115120000'] });
  });

  test('an optional input with an initializer has its default in a request that leaves it out', async () => {
    const request = { model_name: 'fixed', inputs: [row('x', [1, 2, 3])] };
    const { outputs } = await fixture.client.infer(request);
    expect(outputs[0]).toMatchObject({ contents: { fp32_contents: [1, 12, 23] } });
    const offset = { name: 'offset', datatype: 'FP32', shape: [3], contents: { fp32_contents: [1, 1, 1] } };
    const answer = await fixture.client.infer({ ...request, inputs: [...request.inputs, offset] });
    expect(answer['outputs'][0]).toMatchObject({ contents: { fp32_contents: [2, 3, 4] } });
    expect(await fixture.client.refusal('ModelInfer', { model_name: 'mistaken' })).toMatchObject({
      code: 'UNAVAILABLE',
      text: expect.stringContaining("input 'x' is optional in the configuration, but the model has no default for it"),
    });
  });
});

describe('a file that is no model', () => {
  test('is named by its cause: in readiness, in the index, and to the client that loads it', async () => {
    using repository = new Repository({
      pointer: Buffer.from(LFS),
      page: Buffer.from('<!DOCTYPE html><html><body>Please sign in</body></html>'),
      cut: mlpModel().subarray(0, 100),
      weights: { versions: { 1: withExternalData(mlpModel(), 'W1', 'weights.bin') }, files: { '1/weights.bin': LFS } },
      absent: { versions: { 1: withExternalData(mlpModel(), 'W1', 'weights.bin') } },
      renamed: { versions: { 1: undefined }, files: { '1/resnet.onnx': 'x' } },
    });
    await using server = await startServer(repository.directory, {
      flags: ['--model-control-mode', 'explicit', '--load-model', '*', '--log-level', 'fatal'],
    });
    using client = new StockClient(server.grpc);
    const causes = new Map([
      ['pointer', /run git lfs pull/],
      ['page', /is an HTML page/],
      ['cut', /is cut off/],
      ['weights', /weights\.bin is a Git LFS pointer.*run git lfs pull/],
      ['absent', /weights\.bin/],
      ['renamed', /'resnet\.onnx' does: rename it to 'model\.onnx'/],
    ]);
    const ready = await get(server, '/readyz');
    const { models } = await client.call('RepositoryIndex');
    for (const [name, cause] of causes) {
      expect(ready.text).toMatch(cause);
      expect(models.find((each: Message) => each['name'] === name)).toMatchObject({
        state: 'UNAVAILABLE',
        reason: expect.stringMatching(cause),
      });
      expect(await client.refusal('RepositoryModelLoad', { model_name: name })).toMatchObject({
        text: expect.stringMatching(cause),
      });
    }
  });
});

describe('the disk of the repository', () => {
  /** Milliseconds of the server's CPU time for one of many calls. */
  async function cpuPerCall(server: TestServer, url: string): Promise<number> {
    const calls = 2_000;
    const lane = async (): Promise<void> => {
      for (let call = 0; call < calls / 4; call++) await (await fetch(`${server.http}${url}`)).arrayBuffer();
    };
    const before = cpuOf(server.pid);
    await Promise.all([lane(), lane(), lane(), lane()]);
    return (cpuOf(server.pid) - before) / calls;
  }

  test('is not read for a probe: what a probe costs does not grow with the repository', async () => {
    using repository = new Repository({ m: additionModel(1) });
    const flags = ['--model-control-mode', 'explicit', '--load-model', 'm', '--log-level', 'error'];
    const small = await startServer(repository.directory, { flags });
    const [few, fewUnloaded] = [
      await cpuPerCall(small, '/v2/models/m/ready'),
      await cpuPerCall(small, '/v2/models/no/ready'),
    ];
    await small.stop();
    for (let index = 0; index < 3_000; index++)
      fs.mkdirSync(path.join(repository.directory, `m${index}`, '1'), { recursive: true });
    const large = await startServer(repository.directory, { flags });
    // Reading 3,000 names takes several milliseconds, a probe a fraction of one.
    expect(await cpuPerCall(large, '/v2/models/m/ready')).toBeLessThan(few * 2 + 0.5);
    expect(await cpuPerCall(large, '/v2/models/m7/ready')).toBeLessThan(few * 2 + 0.5);
    expect(await cpuPerCall(large, '/v2/models/no/ready')).toBeLessThan(fewUnloaded * 2 + 0.5);
    using client = new StockClient(large.grpc);
    const { models } = await client.call('RepositoryIndex');
    expect(models).toHaveLength(3_001);
    await large.stop();
  });

  test('is asked again before a load: a model that came a moment ago is loaded', async () => {
    using repository = new Repository();
    const flags = ['--model-control-mode', 'explicit', '--log-level', 'error'];
    await using server = await startServer(repository.directory, { flags });
    using client = new StockClient(server.grpc);
    for (const name of ['a', 'b', 'c']) {
      expect(await client.refusal('RepositoryModelLoad', { model_name: name })).toMatchObject({
        code: 'NOT_FOUND',
      });
      repository.publish(name, 1, additionModel(1));
      await client.call('RepositoryModelLoad', { model_name: name });
      const { outputs } = await client.infer({ model_name: name, inputs: [row('input', [1])] });
      expect(outputs[0].contents.fp32_contents).toEqual([2]);
    }
    await vi.waitUntil(async () => (await client.call('RepositoryIndex'))['models'].length === 3, {
      timeout: PATIENCE_MS,
    });
  });
});
