/**
 * The limits of a message, as the loaded models need them: a model that is READY can be called, whatever it looks like, and
 * a message still costs no more than the largest of them makes it.
 */

import { DEFAULT_WIRE_LIMITS, type MessageNeeds, type WireLimits, wireLimitsFor } from '../../wire/limits.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { messageNeeds } from './message-needs.ts';
import type { ModelTable } from './model-table.ts';

const NO_NEEDS: MessageNeeds = { inputs: 0, outputs: 0, rank: 0, nameBytes: 0 };

export class MessageLimits {
  /** In force now. A plain object, because every request reads it. */
  current: WireLimits = DEFAULT_WIRE_LIMITS;
  readonly #models: Pick<ModelTable, 'versionsOf' | 'onChange'>;
  /** By model: the most that any of its READY versions needs. */
  readonly #needs = new Map<string, MessageNeeds>();
  #most = NO_NEEDS;

  constructor(models: Pick<ModelTable, 'versionsOf' | 'onChange'>) {
    this.#models = models;
    models.onChange((name) => this.#review(name));
    diagnostics.modelChanged.subscribe(({ model }) => this.#review(model.name));
  }

  #review(name: string): void {
    const before = this.#needs.get(name);
    const ready = this.#models.versionsOf(name).filter(({ state }) => state === 'READY');
    const needs = ready.map(({ ready: { signature } }) => messageNeeds(signature)).reduce(larger, NO_NEEDS);
    if (ready.length === 0) this.#needs.delete(name);
    else this.#needs.set(name, needs);
    // Only a model that needed the most can lower it.
    const mayShrink = before !== undefined && isAsLarge(before, this.#most) && !isLarger(needs, before);
    const most = mayShrink ? [...this.#needs.values()].reduce(larger, NO_NEEDS) : larger(this.#most, needs);
    if (isSame(most, this.#most)) return;
    this.#most = most;
    this.current = wireLimitsFor(most);
  }
}

const KEYS = Object.keys(NO_NEEDS) as (keyof MessageNeeds)[];

function larger(one: MessageNeeds, other: MessageNeeds): MessageNeeds {
  return {
    inputs: Math.max(one.inputs, other.inputs),
    outputs: Math.max(one.outputs, other.outputs),
    rank: Math.max(one.rank, other.rank),
    nameBytes: Math.max(one.nameBytes, other.nameBytes),
  };
}

function isSame(one: MessageNeeds, other: MessageNeeds): boolean {
  return KEYS.every((key) => one[key] === other[key]);
}

/** One of them reaches the most there is. */
function isAsLarge(needs: MessageNeeds, most: MessageNeeds): boolean {
  return KEYS.some((key) => needs[key] === most[key]);
}

function isLarger(one: MessageNeeds, other: MessageNeeds): boolean {
  return KEYS.every((key) => one[key] >= other[key]);
}
