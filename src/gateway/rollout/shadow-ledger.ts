/** Comparisons of shadows since the server started, by model, primary and shadow version. */

import type { Reason } from '../errors.ts';
import type { ShadowEnded, ShedCause } from '../ops/diagnostics.ts';

export interface ShadowAccount {
  readonly model: string;
  readonly primary: string;
  readonly shadow: string;
  equal: number;
  different: number;
  incomparable: number;
  rowsAgreeing: number;
  rowsDisagreeing: number;
  /** Largest differences of all comparisons, as in `Agreement`. */
  absolute: number;
  relative: number;
  /** Sums over comparisons, from the queue to the outputs. */
  primaryMs: number;
  shadowMs: number;
  readonly failures: Map<Reason, number>;
  readonly shed: Map<ShedCause, number>;
}

/** Pairs of versions that are remembered: those that were seen first are forgotten first. */
const MAX_ACCOUNTS = 256;

export class ShadowLedger {
  readonly #accounts = new Map<string, ShadowAccount>();

  /** By model, then by versions. @param model of all models where empty */
  accounts(model: string): readonly ShadowAccount[] {
    return [...this.#accounts.values()]
      .filter((account) => model === '' || account.model === model)
      .sort(
        (a, b) =>
          (a.model < b.model ? -1 : a.model > b.model ? 1 : 0) ||
          Number(a.primary) - Number(b.primary) ||
          Number(a.shadow) - Number(b.shadow),
      );
  }

  record(event: ShadowEnded): void {
    const account = this.#accountOf(event);
    const { outcome } = event;
    switch (outcome.kind) {
      case 'compared':
        account[outcome.result]++;
        account.rowsAgreeing += outcome.rowsAgreeing;
        account.rowsDisagreeing += outcome.rowsDisagreeing;
        account.absolute = Math.max(account.absolute, outcome.absolute);
        account.relative = Math.max(account.relative, outcome.relative);
        account.primaryMs += outcome.primaryMs;
        account.shadowMs += outcome.shadowMs;
        break;
      case 'failed':
        account.failures.set(outcome.reason, (account.failures.get(outcome.reason) ?? 0) + 1);
        break;
      case 'shed':
        account.shed.set(outcome.cause, (account.shed.get(outcome.cause) ?? 0) + 1);
        break;
    }
  }

  #accountOf({ model, primary, shadow }: ShadowEnded): ShadowAccount {
    const key = `${model}\n${primary}\n${shadow}`;
    const found = this.#accounts.get(key);
    if (found !== undefined) return found;
    const made: ShadowAccount = {
      model,
      primary,
      shadow,
      equal: 0,
      different: 0,
      incomparable: 0,
      rowsAgreeing: 0,
      rowsDisagreeing: 0,
      absolute: 0,
      relative: 0,
      primaryMs: 0,
      shadowMs: 0,
      failures: new Map(),
      shed: new Map(),
    };
    this.#accounts.set(key, made);
    const oldest = this.#accounts.keys().next();
    if (this.#accounts.size > MAX_ACCOUNTS && !oldest.done) this.#accounts.delete(oldest.value);
    return made;
  }
}
