/** State of a model in the lifecycle, beside the versions in the table. */

import { Mutex } from '../../../mutex.ts';
import type { ModelState } from '../../ops/diagnostics.ts';

export interface Note {
  readonly state: ModelState;
  readonly reason: string;
  /** Identity of a version that failed: it is not tried again just because time passes. */
  readonly identity?: string;
}

export class ManagedModel {
  readonly name: string;
  /** Orders about the model, one at a time. */
  readonly mutex = new Mutex();
  /** By version: the state of a version that is not in the table, or why one in the table could not be replaced. */
  readonly notes = new Map<string, Note>();
  /** Why no version could be tried, at the last order. */
  problem = '';

  constructor(name: string) {
    this.name = name;
  }

  forget(): void {
    this.notes.clear();
    this.problem = '';
  }
}
