import { describe, expect, test } from 'vitest';
import { MessageLimits } from '../../../src/gateway/models/message-limits.ts';
import { ModelTable } from '../../../src/gateway/models/model-table.ts';
import { DEFAULT_WIRE_LIMITS, wireLimitsFor } from '../../../src/wire/limits.ts';
import { FakeServable } from '../../support/fake-servable.ts';
import { signatureOf, spec } from '../../support/infer-requests.ts';

function tableOf(columns: number, name = 'x', rank = 2): ReturnType<typeof signatureOf> {
  const inputs = Array.from({ length: columns }, (_, at) => spec(`${name}${at}`, 'FP32', Array<number>(rank).fill(1)));
  return signatureOf(inputs, { outputs: [spec('y', 'FP32', [-1, 1])] });
}

describe('the limits of a message', () => {
  test('are the limits of a server without models until one is READY', () => {
    const table = new ModelTable();
    const limits = new MessageLimits(table);
    const model = new FakeServable('wide', tableOf(300));
    model.state = 'LOADING';
    table.add(model);
    expect(limits.current).toBe(DEFAULT_WIRE_LIMITS);
    model.become('READY');
    expect(limits.current).toEqual(wireLimitsFor({ inputs: 300, outputs: 1, rank: 2, nameBytes: 4 }));
  });

  test('follow models that come, go, and are replaced', () => {
    const table = new ModelTable();
    const limits = new MessageLimits(table);
    const inputs = (): number => limits.current.maxInputs - DEFAULT_WIRE_LIMITS.maxInputs;
    table.add(new FakeServable('small', tableOf(3)));
    table.add(new FakeServable('wide', tableOf(300)));
    table.add(new FakeServable('wider', tableOf(400)));
    expect(inputs()).toBe(400);
    table.serve('wider', [new FakeServable('wider', tableOf(5), '2')]);
    expect(inputs()).toBe(300);
    table.serve('small', [new FakeServable('small', tableOf(3)), new FakeServable('small', tableOf(350), '2')]);
    expect(inputs()).toBe(350);
    table.forget('small');
    expect(inputs()).toBe(300);
    table.forget('wide');
    table.forget('wider');
    expect(inputs()).toBe(0);
  });

  test('cover a model that was away only once it is back', () => {
    const table = new ModelTable();
    const limits = new MessageLimits(table);
    const model = new FakeServable('wide', tableOf(300));
    table.add(model);
    model.become('UNAVAILABLE');
    expect(limits.current.maxInputs).toBe(DEFAULT_WIRE_LIMITS.maxInputs);
    model.become('READY');
    expect(limits.current.maxInputs).toBe(DEFAULT_WIRE_LIMITS.maxInputs + 300);
  });

  test('take each kind from the model that needs most of it', () => {
    const table = new ModelTable();
    const limits = new MessageLimits(table);
    table.add(new FakeServable('long', tableOf(1, 'é'.repeat(2_000))));
    table.add(new FakeServable('deep', tableOf(1, 'x', 40)));
    expect(limits.current).toMatchObject({ maxRank: 80, maxNameBytes: 8_002 });
    table.forget('long');
    expect(limits.current).toMatchObject({ maxRank: 80, maxNameBytes: DEFAULT_WIRE_LIMITS.maxNameBytes });
  });
});
