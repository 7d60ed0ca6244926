/** Messages between a benchmark and the processes that send its load. */

import type { NamedTensor, TargetAddress, TargetModel } from './call-target.ts';
import type { ClientUse } from './client-watch.ts';
import type { Level, LoadTimes } from './load-sender.ts';
import type { BenchProtocol } from './open-target.ts';
import type { TallyRecord } from './tally.ts';

/** Load of a process, and where it goes. */
export interface LoadDescription {
  readonly protocol: BenchProtocol;
  readonly address: TargetAddress;
  readonly model: TargetModel;
  /** The inputs of each request. */
  readonly rows: readonly (readonly NamedTensor[])[];
}

export type LoadOrder =
  | { readonly kind: 'prepare'; readonly load: LoadDescription }
  | { readonly kind: 'send'; readonly level: Level; readonly times: LoadTimes; readonly seed: number };

export type LoadAnswer =
  | { readonly kind: 'prepared' }
  | { readonly kind: 'sent'; readonly tally: TallyRecord; readonly use: ClientUse };
