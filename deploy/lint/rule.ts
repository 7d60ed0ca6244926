/** What a rule of the lint is. */

import type { Build } from './build.ts';
import type { KubeObject } from './kinds.ts';

export interface Finding {
  /** Such as `VirtualService/tensorgate`. */
  readonly object: string;
  /** What is wrong, and what would be right. */
  readonly text: string;
}

export interface Rule {
  /** As it is printed. */
  readonly id: string;
  /** The fault that it prevents. */
  readonly prevents: string;
  check(build: Build): readonly Finding[];
}

export function found(object: Pick<KubeObject, 'kind' | 'metadata'>, text: string): Finding {
  return { object: `${object.kind}/${object.metadata.name}`, text };
}

/** A finding on the build as a whole. */
export function missing(text: string): Finding {
  return { object: 'build', text };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `35s`, `1m30s`; `undefined` where it is none. */
export function durationMs(text: string | undefined): number | undefined {
  const parts = [...(text ?? '').matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (text === undefined || parts.map(([whole]) => whole).join('') !== text || parts.length === 0) return undefined;
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (UNITS[unit ?? ''] ?? Number.NaN), 0);
}

const BINARY: Readonly<Record<string, number>> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };

/** Bytes of `512Mi`; `undefined` where it is no such quantity. */
export function quantityBytes(text: string | number | undefined): number | undefined {
  const match = /^(\d+)(Ki|Mi|Gi|Ti)?$/.exec(String(text ?? ''));
  return match === null ? undefined : Number(match[1]) * (BINARY[match[2] ?? ''] ?? 1);
}
