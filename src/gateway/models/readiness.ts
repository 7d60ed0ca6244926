/** Readiness of the server with its reasons, for ServerReady, `/readyz` and gRPC health. */

import type { Health } from '../accept/health-service.ts';
import { INFERENCE_SERVICE } from '../accept/inference-service.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { ModelTable } from './model-table.ts';

export type Phase = 'loading' | 'serving' | 'draining';

/** `strict`: ready only while every model is. `lenient`: one READY model is enough, or none at all where there are no models. */
export type ReadinessPolicy = 'strict' | 'lenient';

export class Readiness {
  readonly #models: ModelTable;
  readonly #health: Health;
  readonly #policy: ReadinessPolicy;
  #phase: Phase = 'loading';
  /** The models that health reports. */
  #published: readonly string[] = [];

  constructor(models: ModelTable, health: Health, policy: ReadinessPolicy) {
    this.#models = models;
    this.#health = health;
    this.#policy = policy;
    diagnostics.modelChanged.subscribe(() => this.#publish());
    models.onChange(() => this.#publish());
    this.#publish();
  }

  /** One line each; empty when the server is ready. */
  get obstacles(): readonly string[] {
    if (this.#phase === 'draining') return ['the server drains'];
    const all = this.#models.all();
    const unready = all.filter(({ state }) => state !== 'READY');
    if (this.#phase === 'serving' && this.#policy === 'lenient' && unready.length < all.length) return [];
    return [
      ...(this.#phase === 'loading' ? ['models are being loaded'] : []),
      ...[...this.#models.broken].map(([name, problem]) => `model ${name} is UNAVAILABLE: ${problem}`),
      ...unready.map(({ ref, state, detail }) => `model ${ref.name} version ${ref.version} is ${state}: ${detail}`),
    ];
  }

  /** A server that drains stays so. */
  become(phase: Phase): void {
    if (this.#phase !== 'draining') this.#phase = phase;
    this.#publish();
  }

  /** Only versions in the table count, not those being loaded as replacements or unloaded on purpose. */
  #publish(): void {
    const status = this.obstacles.length === 0 ? 'SERVING' : 'NOT_SERVING';
    this.#health.set('', status);
    this.#health.set(INFERENCE_SERVICE, status);
    const names = this.#models.names();
    for (const name of this.#published) if (!names.includes(name)) this.#health.delete(name);
    this.#published = names;
    for (const name of names) {
      const ready = this.#phase !== 'draining' && this.#models.versionsOf(name).some(({ state }) => state === 'READY');
      this.#health.set(name, ready ? 'SERVING' : 'NOT_SERVING');
    }
  }
}
