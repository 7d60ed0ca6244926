/** The end of a server: announced, drained, closed, each phase within its time. */

import { MAX_TIMER_MS } from '../../timer-limit.ts';
import { InferError } from '../errors.ts';
import { diagnostics } from './diagnostics.ts';
import type { Settings } from './settings.ts';

/** Time after the drain for everything except requests: files, idle connections, the last export of metrics and traces. */
const CLOSING_MS = 300;

/** Left of the grace when requests that still wait are abandoned, so that they get an answer. */
const ABANDON_BEFORE_END_MS = 500;

/** How often the log says what the drain still waits for. */
const REPORT_EVERY_MS = 5_000;

export interface DrainPhases {
  /** The unfinished work for the log, such as `3 requests`. */
  pending(): string;
  /** Says that the server ends. It still accepts calls. */
  announce(): void;
  /** After the lame-duck time: ends calls that would last for ever. */
  endWatches(): void;
  /** Refuse new calls, and resolve when the accepted ones are answered or after the grace. */
  readonly ports: readonly { drain(graceMs: number): Promise<void> }[];
  /** Fails the requests that still wait. */
  abandon(error: InferError): void;
  close(): readonly (Promise<unknown> | undefined)[];
  /** The last phase, with the time that is left. */
  finish(leftMs: number): Promise<void>;
}

export async function drain(
  phases: DrainPhases,
  { lameDuckMs, drainTimeoutMs }: Pick<Settings, 'lameDuckMs' | 'drainTimeoutMs'>,
): Promise<void> {
  phases.announce();
  const report = (): void => {
    const lameDuck = lameDuckMs === 0 ? '' : `, after ${lameDuckMs} ms in which it still accepts calls`;
    const text = `the server drains: it waits for ${phases.pending()}, at most ${drainTimeoutMs} ms${lameDuck}; a second signal ends it at once`;
    diagnostics.notice.publish({ level: 'info', text });
  };
  report();
  const reporting = setInterval(report, REPORT_EVERY_MS);
  await new Promise((resolve) => setTimeout(resolve, lameDuckMs));
  phases.endWatches();
  const endAt = performance.now() + drainTimeoutMs + CLOSING_MS;
  const leftMs = (): number => Math.max(0, endAt - performance.now());
  const abandoning = setTimeout(
    () => {
      const text = 'the server ends, and could not answer this before: try another replica';
      phases.abandon(new InferError('draining', text, { pushback: 0 }));
    },
    Math.max(0, drainTimeoutMs - ABANDON_BEFORE_END_MS),
  );
  await Promise.all(phases.ports.map((port) => port.drain(drainTimeoutMs)));
  clearTimeout(abandoning);
  clearInterval(reporting);
  await within(Promise.all(phases.close()), leftMs());
  await phases.finish(leftMs());
}

/** Resolves with `work`, or without it after `ms`. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS));
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
