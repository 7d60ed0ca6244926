import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { createServer, SettingsError } from '../../src/embed/embedded-server.ts';
import { mlpModel } from '../support/onnx-models.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function modelFile(bytes: Uint8Array = mlpModel()): string {
  const file = path.join(temporaryDirectory(), 'mlp.onnx');
  fs.writeFileSync(file, bytes);
  return file;
}

describe('a server in the process of its caller', () => {
  test('serves a file on free ports, over gRPC and REST, until its scope ends', async () => {
    let address = '';
    {
      await using server = await createServer({ models: modelFile(), grpcPort: 0, logLevel: 'error' });
      ({ address } = server);
      await server.ready;
      expect(server.models()).toMatchObject([{ name: 'mlp', version: '1', state: 'READY' }]);
      await using client = new InferenceClient(address, { deadlineMs: 20_000 });
      const [input] = (await client.modelMetadata('mlp')).inputs;
      const shape = (input?.shape ?? []).map((size) => (size === -1 ? 1 : size));
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      const { outputs } = await client.infer('mlp', { [input?.name ?? '']: tensor.fp32(data, shape) });
      expect(outputs.size).toBe(1);
      const response = await fetch(`${server.httpAddress}/v2/health/ready`);
      expect(response.status).toBe(200);
    }
    using late = new InferenceClient(address);
    expect(await late.ready({ deadlineMs: 5_000 })).toBe(false);
  });

  test('names each setting that is wrong by its key', async () => {
    const options = { models: modelFile(), grpcPort: -1, logLevl: 'error', maxInFlightBytes: 'much' };
    const failure = await createServer(options as never).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(SettingsError);
    expect(String(failure)).toMatch(/grpcPort: expected .*, got '-1'/);
    expect(String(failure)).toMatch(/logLevl: there is no such setting; did you mean 'logLevel'\?/);
    expect(String(failure)).toMatch(/maxInFlightBytes: expected .*, got 'much'/);
  });

  test('rejects its readiness with the reason where the model does not load, and still ends', async () => {
    await using server = await createServer({
      models: modelFile(Buffer.from('no model')),
      grpcPort: 0,
      logLevel: 'silent',
    });
    await expect(server.ready).rejects.toThrow(/^the server is not ready: .*mlp/);
  });

  test('rejects where there are no such models', async () => {
    await expect(createServer({ models: '/no/such/place' })).rejects.toThrow("'/no/such/place' does not exist");
  });
});
