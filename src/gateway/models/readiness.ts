/** Readiness of the server with its reasons, for ServerReady, `/readyz` and gRPC health. */

import type { Health } from '../accept/health-service.ts';
import { INFERENCE_SERVICE } from '../accept/inference-service.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { ModelTable } from './model-table.ts';

export type Phase = 'loading' | 'serving' | 'draining';

/** `strict`: ready only while every model is. `lenient`: one READY model is enough. */
export type ReadinessPolicy = 'strict' | 'lenient';

export interface ReadinessOptions {
  readonly policy: ReadinessPolicy;
  /** Why there is no model, if none can come while the server runs: then it is never ready. */
  readonly vacancy: string | undefined;
}

export class Readiness {
  /** Resolves, never rejects, when the server is ready for the first time. */
  readonly first: Promise<void>;
  readonly #arrive: () => void;
  readonly #models: ModelTable;
  readonly #health: Health;
  readonly #options: ReadinessOptions;
  #phase: Phase = 'loading';
  /** The models that health reports. */
  #published: readonly string[] = [];

  constructor(models: ModelTable, health: Health, options: ReadinessOptions) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.first = promise;
    this.#arrive = resolve;
    this.#models = models;
    this.#health = health;
    this.#options = options;
    diagnostics.modelChanged.subscribe(() => this.#publish());
    models.onChange(() => this.#publish());
    this.#publish();
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** One line each; empty when the server is ready. */
  get obstacles(): readonly string[] {
    if (this.#phase === 'draining') return ['the server drains'];
    const { policy, vacancy } = this.#options;
    if (vacancy !== undefined && this.#models.names().length === 0) return [vacancy];
    const all = this.#models.all();
    const unready = all.filter(({ state }) => state !== 'READY');
    if (this.#phase === 'serving' && policy === 'lenient' && unready.length < all.length) return [];
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
    const isReady = this.obstacles.length === 0;
    if (isReady) this.#arrive();
    const status = isReady ? 'SERVING' : 'NOT_SERVING';
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
