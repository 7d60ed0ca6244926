/** What a server shows of itself from outside: its pages, and what the system knows of its processes. */

import fs from 'node:fs';
import { hasLabels, parsePrometheusText } from '../gateway/ops/prometheus-text.ts';
import { openMailboxes } from '../support/open-mailboxes.ts';

/** Reads a metric: the sum of the series with these labels, 0 without any. */
export type Metrics = (name: string, labels?: Readonly<Record<string, string>>) => number;

export async function readMetrics({ http }: { readonly http: string }): Promise<Metrics> {
  const families = parsePrometheusText(await (await fetch(`${http}/metrics`)).text());
  return (name, labels) => {
    const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
    const series = family?.samples.filter((sample) => sample.name === name && hasLabels(sample, labels)) ?? [];
    return series.reduce((sum, { value }) => sum + value, 0);
  };
}

export async function readReadiness({ http }: { readonly http: string }): Promise<{ code: number; text: string }> {
  const response = await fetch(`${http}/readyz`);
  return { code: response.status, text: await response.text() };
}

/** Requests that a server holds. */
export interface Held {
  /** For a batch. */
  readonly waiting: number;
  /** In a runner. */
  readonly running: number;
}

export async function readHeld(server: { readonly http: string }): Promise<Held> {
  const metrics = await readMetrics(server);
  let waiting = 0;
  for (const model of ['loop', 'slow']) waiting += metrics('tensorgate_queue_depth', { model });
  return { waiting, running: metrics('tensorgate_in_flight_requests') - waiting };
}

/** Mailboxes with a name in `/dev/shm`: there are none. */
export function namedMailboxes(gatewayPid: number): string[] {
  return fs.readdirSync('/dev/shm').filter((name) => name.startsWith(`tensorgate-${gatewayPid}-`));
}

/** Mailboxes that a process holds open, in the default directory. */
export function heldMailboxes(pid: number): number {
  return openMailboxes(pid, '/dev/shm');
}
