/**
 * LIFE-2: between the choice of a version and the queue there is no turn of the event loop. Otherwise a version could leave the table
 * and end with a request on its way to its queue.
 */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/gateway/admit/admission.ts';
import { Pressure } from '../../src/gateway/admit/early-refusal.ts';
import { type Gateway, infer } from '../../src/gateway/infer.ts';
import { InferenceRecord } from '../../src/gateway/inference-record.ts';
import { ModelTable } from '../../src/gateway/models/model-table.ts';
import type { Servable } from '../../src/gateway/models/servable.ts';
import { Shadows } from '../../src/gateway/rollout/shadow.ts';
import { encodeInferRequest, type InferRequest } from '../../src/wire/infer-request.ts';
import { DEFAULT_WIRE_LIMITS } from '../../src/wire/limits.ts';
import { FakeCall } from '../support/fake-call.ts';
import { FakeServable } from '../support/fake-servable.ts';
import { parameters, rawRequest, signatureOf, spec, typedContents, typedRequest } from '../support/infer-requests.ts';

const ELEMENTS = 128 * 1024;
const SIGNATURE = signatureOf([{ ...spec('x', 'FP32', [-1, -1]), rowAxis: 0 }], { outputs: [] });

/** A table that knows whether code still runs in the turn in which it last found a version. */
class WatchedTable extends ModelTable {
  isTurnOfChoice = false;

  override find(...wanted: Parameters<ModelTable['find']>): Servable {
    this.isTurnOfChoice = true;
    queueMicrotask(() => {
      this.isTurnOfChoice = false;
    });
    return super.find(...wanted);
  }
}

async function reachesQueueInTurnOfChoice(request: InferRequest, fields: Partial<Gateway> = {}): Promise<boolean> {
  const models = new WatchedTable();
  const model = new FakeServable('m', SIGNATURE);
  models.add(model);
  const admission = new Admission(64 * 2 ** 20);
  const gateway: Gateway = {
    limits: { current: DEFAULT_WIRE_LIMITS },
    maxMessageBytes: 64 * 2 ** 20,
    models,
    admission,
    pressure: new Pressure(),
    shadows: new Shadows(models, admission),
    typedAnswers: 'as-requested',
    ...fields,
  };
  const { promise, resolve } = Promise.withResolvers<boolean>();
  model.onRequest = ({ answer }) => {
    resolve(models.isTurnOfChoice);
    answer([]);
  };
  await infer(new InferenceRecord(Buffer.concat(encodeInferRequest(request)), new FakeCall()), gateway);
  return promise;
}

describe('a request is queued in the turn of the event loop in which its version was chosen (LIFE-2)', () => {
  const raw = new Uint8Array(ELEMENTS * 4);
  const small = rawRequest('FP32', [1, 1], new Uint8Array(4));

  test.each<[string, InferRequest, Partial<Gateway>]>([
    ['a small request', small, {}],
    [
      'a request with parameters',
      { ...small, parameters: parameters({ priority: { kind: 'uint64', value: 1n } }) },
      {},
    ],
    ['a request with a sample recorded', small, { recorder: { sample: () => {} } }],
    [
      'millions of typed elements, read in slices',
      typedRequest('FP32', [1, ELEMENTS], typedContents('FP32', raw, ELEMENTS)),
      {},
    ],
    [
      'a model that is loaded on demand',
      small,
      { onDemand: { isCold: () => true, activate: () => Promise.resolve() } },
    ],
  ])('%s', async (_, request, fields) => {
    expect(await reachesQueueInTurnOfChoice(request, fields)).toBe(true);
  });

  test('no source file awaits anything between the two', () => {
    const root = path.join(import.meta.dirname, '../../src/gateway');
    const sites = fs
      .readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => {
        const text = fs.readFileSync(path.join(root, name), 'utf8');
        // The choice is where what serves is read from a version: `ready` throws for one that left the table.
        return [...text.matchAll(/batcher\b[^\n]*\} = \w+\.ready;(?<between>[\s\S]*?)await batcher\.enqueue\(/g)].map(
          ({ groups }) => ({ name, between: groups?.['between'] ?? '' }),
        );
      });
    expect(sites.map(({ name }) => name).sort()).toEqual([
      'infer.ts',
      'models/ensemble/ensemble-run.ts',
      'rollout/shadow.ts',
    ]);
    for (const { name, between } of sites) expect(between, name).not.toMatch(/\bawait\b|\.then\(|\byield\b/);
  });
});
