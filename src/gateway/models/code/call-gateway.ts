/**
 * Where code models call other models: the path of a request, once it is there, and the circles that must not be.
 *
 * GATE-1: two code models never wait for each other. A run that waits holds its instance, so a circle of waiting runs would end only
 *         at their deadlines. The first call that closes a circle is refused, at once and each time.
 */

import type { Call } from '../../accept/call.ts';
import { InferError } from '../../errors.ts';
import type { ModelRef } from '../../ops/diagnostics.ts';

/** Answers an encoded ModelInferRequest with the parts of a ModelInferResponse. Rejects with an InferError. */
export type AnswerCall = (wire: Uint8Array, call: Call) => Promise<readonly Uint8Array[]>;

export class CallGateway {
  /** By the version that calls: the versions of code models that it called, directly or through ensembles. */
  readonly #called = new Map<string, Set<string>>();
  #answer: AnswerCall | undefined;

  /** To be called before a model is loaded. */
  connect(answer: AnswerCall): void {
    this.#answer = answer;
  }

  answer(wire: Uint8Array, call: Call): Promise<readonly Uint8Array[]> {
    if (this.#answer === undefined) return Promise.reject(new TypeError('a call before the server is complete'));
    return this.#answer(wire, call);
  }

  /** Forgets the calls of a version, whose code is another now. */
  forget(model: ModelRef): void {
    this.#called.delete(keyOf(model));
  }

  /**
   * Notes a call between versions of code models.
   * @throws InferError `model_failed` where it closes a circle (GATE-1)
   */
  note(caller: ModelRef, called: ModelRef): void {
    const trail = this.#trail(keyOf(called), keyOf(caller), new Set());
    if (trail !== undefined) {
      const circle = [keyOf(caller), ...trail].join(' -> ');
      throw new InferError('model_failed', `code models must not call each other in a circle: ${circle}`);
    }
    const known = this.#called.get(keyOf(caller)) ?? new Set();
    known.add(keyOf(called));
    this.#called.set(keyOf(caller), known);
  }

  #trail(from: string, to: string, seen: Set<string>): string[] | undefined {
    if (from === to) return [to];
    seen.add(from);
    for (const next of this.#called.get(from) ?? []) {
      const rest = seen.has(next) ? undefined : this.#trail(next, to, seen);
      if (rest !== undefined) return [from, ...rest];
    }
    return undefined;
  }
}

function keyOf({ name, version }: ModelRef): string {
  return `${name}:${version}`;
}
