/** Priorities and queue policies, while the only instance is busy. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { failureOf, loopInputs } from '../faults/loop-requests.ts';
import { Stall, untilHeld } from '../faults/stall.ts';
import { loopModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const PATIENT = { deadlineMs: 20_000 };

function loopWith(dynamic_batching: object): Parameters<typeof useServer>[0] {
  const config = { instance_group: [{ count: 1 }], max_batch_size: 1, dynamic_batching };
  return { loop: { versions: { 1: loopModel() }, config } };
}

/** Asks for `value` once `waiting` others wait, and notes when it is answered. */
async function ask(
  client: InferenceClient,
  value: number,
  answered: number[],
  parameters: Readonly<Record<string, number>> = {},
): Promise<void> {
  await client.infer('loop', loopInputs(value), { ...PATIENT, parameters });
  answered.push(value);
}

describe('levels of priority', () => {
  const levels = {
    priority_levels: 3,
    default_priority_level: 2,
    priority_queue_policy: { 3: { max_queue_size: 2 } },
  };
  const fixture = useServer(loopWith(levels));

  test('the urgent overtake who came before, and 0 and 9 are the default level', async () => {
    using client = new InferenceClient(fixture.server.grpc, PATIENT);
    await using stall = await Stall.begin(fixture.server, client);
    const answered: number[] = [];
    const asked: Promise<void>[] = [];
    for (const [value, priority] of [3, 0, 1, 9, 2, 1].entries()) {
      asked.push(ask(client, value, answered, { priority }));
      await untilHeld(fixture.server, value + 1, 1);
    }
    await stall.end();
    await Promise.all(asked);
    expect(answered).toEqual([2, 5, 1, 3, 4, 0]);
  });

  test('each level has its own max_queue_size', async () => {
    using client = new InferenceClient(fixture.server.grpc, PATIENT);
    await using stall = await Stall.begin(fixture.server, client);
    const answered: number[] = [];
    const asked: Promise<void>[] = [];
    for (const value of [0, 1]) {
      asked.push(ask(client, value, answered, { priority: 3 }));
      await untilHeld(fixture.server, value + 1, 1);
    }
    const refusal = await failureOf(ask(client, 2, answered, { priority: 3 }));
    expect(refusal.status).toBe('RESOURCE_EXHAUSTED');
    expect(refusal.details).toBe('Exceeds maximum queue size: 2 requests of priority 3 wait (max_queue_size)');
    expect(refusal.pushbackMs).toBeGreaterThanOrEqual(10);
    asked.push(ask(client, 3, answered, { priority: 2 }));
    await untilHeld(fixture.server, 3, 1);
    await stall.end();
    await Promise.all(asked);
    expect(answered).toEqual([3, 0, 1]);
  });

  test('ModelConfig shows them', async () => {
    const { config } = await fixture.client.call('ModelConfig', { name: 'loop' });
    expect(config.dynamic_batching).toMatchObject({
      priority_levels: '3',
      default_priority_level: '2',
      default_queue_policy: { timeout_action: 'REJECT', allow_timeout_override: true, max_queue_size: 1_024 },
    });
    // protobufjs gives keys of 64 bits as their bytes.
    const [key = '', policy] = Object.entries(config.dynamic_batching.priority_queue_policy)[0] ?? [];
    expect(Buffer.from(key, 'latin1').readBigUInt64LE()).toBe(3n);
    expect(policy).toMatchObject({ max_queue_size: 2 });
  });
});

describe('timeout_action REJECT', () => {
  const levels = {
    priority_levels: 2,
    default_priority_level: 1,
    priority_queue_policy: { 2: { default_timeout_microseconds: 300_000 } },
  };
  const fixture = useServer(loopWith(levels));

  test('ends a request when its time is over, while the instance is busy; only a shorter time of its own counts', async () => {
    using client = new InferenceClient(fixture.server.grpc, PATIENT);
    await using stall = await Stall.begin(fixture.server, client);
    const startedAt = performance.now();
    const failures = await Promise.all([
      failureOf(ask(client, 0, [], { priority: 2 })),
      failureOf(ask(client, 1, [], { priority: 2, timeout: 60_000_000 })),
      failureOf(ask(client, 2, [], { priority: 2, timeout: 50_000 })).then((failure) => {
        expect(performance.now() - startedAt).toBeGreaterThanOrEqual(49);
        return failure;
      }),
    ]);
    expect(failures.map(({ status }) => status)).toEqual(Array(3).fill('DEADLINE_EXCEEDED'));
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(299);
    // The instance has not been let go: nothing but their time ended them.
    await untilHeld(fixture.server, 0, 1);
    expect(await stall.end()).toBe(-1);
  });

  test('leaves no request beside an idle instance', async () => {
    using client = new InferenceClient(fixture.server.grpc, PATIENT);
    for (let round = 0; round < 50; round++) {
      const values = [0, 1, 2];
      // One that stayed there would end with its own time.
      const parameters = { timeout: 10_000_000 };
      const answers = values.map((value) => client.infer('loop', loopInputs(value), { ...PATIENT, parameters }));
      await Promise.all(answers);
    }
  });
});

describe('allow_timeout_override: false', () => {
  const fixture = useServer(loopWith({ default_queue_policy: { allow_timeout_override: false } }));

  test('the parameter timeout has no effect', async () => {
    using client = new InferenceClient(fixture.server.grpc, PATIENT);
    await using stall = await Stall.begin(fixture.server, client);
    const answered: number[] = [];
    const asked = ask(client, 0, answered, { timeout: 50_000 });
    await untilHeld(fixture.server, 1, 1);
    await sleep(100);
    await untilHeld(fixture.server, 1, 1);
    await stall.end();
    await asked;
    expect(answered).toEqual([0]);
  });
});

describe('timeout_action DELAY', () => {
  const levels = {
    priority_levels: 2,
    default_priority_level: 2,
    priority_queue_policy: { 1: { timeout_action: 'DELAY', default_timeout_microseconds: 100_000 } },
  };
  const fixture = useServer(loopWith(levels));

  test('a request that has had its time runs after all others, however urgent it was; its deadline ends it', async () => {
    using client = new InferenceClient(fixture.server.grpc, PATIENT);
    await using stall = await Stall.begin(fixture.server, client);
    const answered: number[] = [];
    const delayed = ask(client, 1, answered, { priority: 1 });
    const doomed = failureOf(client.infer('loop', loopInputs(9), { deadlineMs: 1_000, parameters: { priority: 1 } }));
    await untilHeld(fixture.server, 2, 1);
    await sleep(150);
    // One after the other: deadlines are whole milliseconds, and decide between requests of one moment.
    const others = [ask(client, 2, answered)];
    await untilHeld(fixture.server, 3, 1);
    others.push(ask(client, 3, answered));
    expect((await doomed).status).toBe('DEADLINE_EXCEEDED');
    await untilHeld(fixture.server, 3, 1);
    await stall.end();
    await Promise.all([delayed, ...others]);
    expect(answered).toEqual([2, 3, 1]);
  });
});
