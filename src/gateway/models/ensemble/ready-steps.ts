/**
 * The steps of one request that have all of their inputs: which of them start, and which wait for others of the same request.
 *
 * Steps beside each other on one device gain nothing from starting together where it runs one after the other, and every queue
 * decides by itself which requests it sheds: one branch of a request would run for nothing where the other is shed. So they form a
 * chain, in the order of their upward ranks (HEFT: Topcuoglu, Hariri and Wu, IEEE TPDS 2002): the longest path to the answer first.
 */

import type { SharedDevice } from '../../batch/forecast.ts';

export interface StepPlace {
  /** Steps of one model may ride in one batch: together they take the device once. */
  readonly model: string;
  /** `undefined`: not known. */
  readonly device: SharedDevice | undefined;
  /** How many of its runs the device takes at a time. */
  readonly parallel: number;
}

export interface StepOrder {
  place(step: number): StepPlace;
  /** Milliseconds from its start to the answer. */
  rankMs(step: number): number;
}

export class ReadySteps {
  readonly #order: StepOrder;
  readonly #running = new Set<number>();
  readonly #waiting = new Set<number>();

  constructor(order: StepOrder) {
    this.#order = order;
  }

  /** Steps that have their inputs, and wait for a step that runs on their device. */
  get waiting(): ReadonlySet<number> {
    return this.#waiting;
  }

  add(steps: readonly number[]): void {
    for (const step of steps) this.#waiting.add(step);
  }

  end(step: number): void {
    this.#running.delete(step);
  }

  /** Takes the steps that start now: at least one where none runs. */
  take(): number[] {
    const taken = this.#inOrder().filter((step) => {
      if (!this.#hasRoom(step)) return false;
      this.#running.add(step);
      this.#waiting.delete(step);
      return true;
    });
    return taken;
  }

  #inOrder(): number[] {
    const steps = [...this.#waiting];
    if (steps.length < 2) return steps;
    const ranks = new Map(steps.map((step) => [step, this.#order.rankMs(step)]));
    return steps.sort((one, other) => (ranks.get(other) ?? 0) - (ranks.get(one) ?? 0) || one - other);
  }

  #hasRoom(step: number): boolean {
    if (this.#running.size === 0) return true;
    const own = this.#order.place(step);
    if (own.device === undefined) return true;
    const beside = new Map<string, number>();
    for (const other of this.#running) {
      const { model, device, parallel } = this.#order.place(other);
      if (device === own.device) beside.set(model, 1 / parallel);
    }
    if (beside.size === 0 || beside.has(own.model)) return true;
    let taken = 1 / own.parallel;
    for (const part of beside.values()) taken += part;
    return taken <= 1 + Number.EPSILON * beside.size;
  }
}
