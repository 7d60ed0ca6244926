import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ServerSnapshot } from '../../../src/gateway/accept/page/snapshot.ts';
import { identityModel } from '../../support/onnx-models.ts';
import { Repository } from '../../support/repository.ts';
import { startServer, type TestServer } from '../../support/server.ts';

const BROKEN = Buffer.from('half of a file');

describe('the snapshot of the page has, while the server runs', () => {
  const repository = new Repository({ echo: identityModel('FP32') });
  let server: TestServer;

  beforeAll(async () => {
    const flags = ['--model-control-mode', 'explicit', '--load-model', 'echo', '--log-level', 'silent'];
    server = await startServer(repository.directory, { flags });
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    repository[Symbol.dispose]();
  });

  async function order(what: 'load' | 'unload', model: string): Promise<number> {
    const response = await fetch(`${server.http}/v2/repository/models/${model}/${what}`, { method: 'POST' });
    return response.status;
  }

  interface Shown {
    readonly problem: string | null;
    /** Number and state. */
    readonly versions: readonly string[];
    readonly reasons: readonly string[];
  }

  /** Waits until it is so: a snapshot serves all who ask within a second. */
  async function becomes(model: string, expected: object): Promise<void> {
    await vi.waitFor(async () => expect(await shown(model)).toEqual(expected), { timeout: 20_000, interval: 50 });
  }

  async function shown(model: string): Promise<Shown | undefined> {
    const snapshot = (await (await fetch(`${server.http}/page/snapshot`)).json()) as ServerSnapshot;
    const found = snapshot.models.find(({ name }) => name === model);
    return (
      found && {
        problem: found.problem,
        versions: found.versions.map(({ version, live }) => `${version} ${live.state}`),
        reasons: found.versions.map(({ live }) => live.reason),
      }
    );
  }

  test('a new model that failed to load, until it loads', async () => {
    repository.publish('depth', 2, BROKEN);
    expect(await order('load', 'depth')).toBe(400);
    await becomes('depth', {
      problem: null,
      versions: ['2 UNAVAILABLE'],
      reasons: [expect.stringContaining('half of a file')],
    });
    repository.publish('depth', 2, identityModel('FP32'));
    expect(await order('load', 'depth')).toBe(200);
    await becomes('depth', expect.objectContaining({ versions: ['2 READY'] }));
  });

  test('a new version that failed to load, beside one that serves', async () => {
    repository.publish('echo', 2, BROKEN);
    expect(await order('load', 'echo')).toBe(400);
    await becomes('echo', expect.objectContaining({ versions: ['1 READY', '2 UNAVAILABLE'] }));
  });

  test('a model whose configuration is wrong', async () => {
    repository.publish('tall', 1, identityModel('FP32'));
    fs.writeFileSync(path.join(repository.directory, 'tall/config.json'), '{"max_batch_size": "tall"}');
    expect(await order('load', 'tall')).toBe(400);
    await becomes('tall', { problem: expect.stringContaining('max_batch_size'), versions: [], reasons: [] });
  });

  test('no failure of a model that was unloaded', async () => {
    repository.publish('short', 1, identityModel('FP32'));
    expect(await order('load', 'short')).toBe(200);
    await becomes('short', expect.objectContaining({ versions: ['1 READY'] }));
    expect(await order('unload', 'short')).toBe(200);
    await becomes('short', { problem: null, versions: [], reasons: [] });
  });
});
