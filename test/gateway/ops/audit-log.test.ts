import { afterEach, beforeEach, expect, test } from 'vitest';
import { InferError } from '../../../src/gateway/errors.ts';
import { audited } from '../../../src/gateway/ops/audit.ts';
import { startAuditLog } from '../../../src/gateway/ops/audit-log.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { LogLines } from '../../../src/gateway/ops/log-lines.ts';
import { LogSettings } from '../../../src/gateway/ops/log-settings.ts';
import { callEnded, FakeCall } from './fake-events.ts';

let stop: () => void;
let lines: Record<string, unknown>[];
let settings: LogSettings;

beforeEach(() => {
  lines = [];
  settings = new LogSettings({ logLevel: 'info', logFormat: 'json' });
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
  stop = startAuditLog(new LogLines(settings, { write }));
});

afterEach(() => stop());

function client(): FakeCall {
  return Object.assign(new FakeCall(), {
    via: 'rest' as const,
    peer: { address: '10.0.0.7:1', certificate: { subject: 'CN=ops', alternativeNames: ['URI:spiffe://c/ns/ops'] } },
  });
}

test('a change by a client has a line when it has been made: who, what, and its outcome, whatever level is logged', async () => {
  settings.change(new Map([['log_info', false]]));
  const made = await audited({ by: client(), action: 'model.load', model: 'm', detail: 'with 2 files' }, async () => 7);
  expect(made).toBe(7);
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.any(String),
      log: 'audit',
      action: 'model.load',
      by: 'client',
      via: 'rest',
      client: 'spiffe://c/ns/ops',
      address: '10.0.0.7:1',
      model: 'm',
      outcome: 'ok',
      msg: 'model.load m with 2 files',
    },
  ]);
});

test('a change that fails has a line with the reason, and fails', async () => {
  const work = (): never => {
    throw new InferError('load_failed', 'no such file');
  };
  await expect(audited({ by: 'repository', action: 'model.load', model: 'm', detail: '' }, work)).rejects.toThrow();
  expect(lines).toEqual([expect.objectContaining({ by: 'repository', outcome: 'load_failed', model: 'm' })]);
  expect(lines[0]?.['msg']).toBe('model.load m: no such file');
});

test('what the server changes by itself has a line only at level info', async () => {
  const load = () => audited({ by: 'start', action: 'model.load', model: 'm', detail: '' }, () => {});
  await load();
  settings.change(new Map([['log_info', false]]));
  await load();
  expect(lines).toEqual([expect.objectContaining({ by: 'start', action: 'model.load', model: 'm', outcome: 'ok' })]);
});

test('each step of a rollout has a line, and so has a call that is not allowed', () => {
  const versions = { model: 'm', from: '1', to: '2', percent: 0 };
  diagnostics.rolloutChanged.publish({ ...versions, stage: 'rolled_back', cause: 'slow', text: 'rolled back' });
  const denied = { status: 'PERMISSION_DENIED', reason: 'permission_denied', text: 'not for you' } as const;
  diagnostics.callEnded.publish(callEnded({ call: client(), ...denied }));
  diagnostics.callEnded.publish(callEnded({ call: client(), status: 'INTERNAL', reason: 'internal' }));
  expect(lines).toEqual([
    expect.objectContaining({ action: 'rollout.rolled_back', by: 'rollout', model: 'm', reason: 'slow' }),
    expect.objectContaining({ outcome: 'permission_denied', client: 'spiffe://c/ns/ops', msg: 'not for you' }),
  ]);
});
