/** The pod of deploy/istio has room for all that its settings let the server hold. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { fitSettings } from '../../src/gateway/ops/capacity.ts';
import { loadSettings } from '../../src/gateway/ops/settings-loading.ts';

const BASE = path.join(import.meta.dirname, '../../deploy/istio/base');
const MiB = 2 ** 20;

function read(file: string): string {
  return fs.readFileSync(path.join(BASE, file), 'utf8');
}

/** Such as `2Gi`, in bytes. */
function bytesOf(quantity: string | undefined): number {
  const { number, unit } = /^(?<number>\d+)(?<unit>[MG])i$/.exec(quantity ?? '')?.groups ?? {};
  return Number(number) * (unit === 'G' ? 1_024 : 1) * MiB;
}

test('the budgets of the shipped settings fit the memory and the mailbox of the shipped pod', () => {
  const deployment = read('workload/deployment.yaml');
  const env = Object.fromEntries(
    [...read('settings.env').matchAll(/^(TENSORGATE_\w+)=(.*)$/gm)].map(([, key, value]) => [key, value]),
  );
  const memoryBytes = bytesOf(/limits: \{.*memory: (\w+)/.exec(deployment)?.[1]);
  const mailboxBytes = bytesOf(/medium: Memory, sizeLimit: (\w+)/.exec(deployment)?.[1]);
  const asked = loadSettings({ flags: {}, env, cwd: '/' });
  const given = new Set<string>(asked.maxInFlightBytes === 512 * MiB ? [] : ['maxInFlightBytes']);
  const capacity = { memoryBytes, mailboxBytes, openFiles: 65_536, versions: 4, instances: 1 };
  const { settings, findings } = fitSettings(asked, given, capacity);
  expect(findings.flatMap(({ advice }) => advice ?? [])).toEqual([]);
  expect(2 * settings.maxInFlightBytes).toBeLessThanOrEqual(mailboxBytes);
});
