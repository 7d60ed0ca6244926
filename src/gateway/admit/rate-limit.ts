/**
 * How many requests a tenant may send: a token bucket each (J. Turner, "New directions in communications", IEEE Communications
 * Magazine, 1986: the leaky bucket as a meter). A bucket holds so many tokens, gains so many a second, and a request takes one.
 *
 * Each listed tenant has its own bucket; unlisted and unnamed ones share one. A name is no proof of identity: if each new name
 * brought a full bucket, a client that invents names would never be limited, and the server would have to remember every name.
 */

import { InferError, withJitter } from '../errors.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { type Settings, tenantWeights } from '../ops/settings.ts';

export interface RateLimitOptions {
  /** The metadata key, in lower case, whose value is the tenant's name. */
  readonly key: string;
  /** Requests a second of a tenant of weight 1. */
  readonly rate: number;
  /** Tokens that the bucket of a tenant of weight 1 holds. */
  readonly burst: number;
  /** The listed tenants; `other` is all others together, of weight 1 where it is not listed. */
  readonly weights: ReadonlyMap<string, number>;
}

interface Metadata {
  get(name: string): string | Uint8Array | undefined;
}

interface TokenBucket {
  readonly tenant: string;
  /** Tokens a millisecond. */
  readonly rate: number;
  readonly capacity: number;
  tokens: number;
  /** Up to when it was filled, on the clock of `performance.now()`. */
  filledMs: number;
}

/** The name that stands for all unlisted tenants. */
export const OTHER_TENANTS = 'other';

export class RateLimit {
  readonly #key: string;
  readonly #buckets: ReadonlyMap<string, TokenBucket>;
  readonly #others: TokenBucket;

  /** `undefined` where tenants have no rate. */
  static of(settings: Settings): RateLimit | undefined {
    const { tenantKey: key, tenantRate: rate, tenantBurst: burst } = settings;
    return key === '' || rate === 0 ? undefined : new RateLimit({ key, rate, burst, weights: tenantWeights(settings) });
  }

  constructor({ key, rate, burst, weights }: RateLimitOptions) {
    const now = performance.now();
    const bucketOf = (tenant: string, weight: number): TokenBucket => {
      // A bucket that never holds a whole token would admit no request.
      const capacity = Math.max(1, burst * weight);
      return { tenant, rate: (rate * weight) / 1_000, capacity, tokens: capacity, filledMs: now };
    };
    this.#key = key;
    this.#buckets = new Map([...weights].map(([tenant, weight]) => [tenant, bucketOf(tenant, weight)]));
    this.#others = this.#buckets.get(OTHER_TENANTS) ?? bucketOf(OTHER_TENANTS, 1);
  }

  /** Names of the buckets. */
  get tenants(): readonly string[] {
    return [...new Set([...this.#buckets.keys(), OTHER_TENANTS])];
  }

  /**
   * Takes a token from the bucket of the request's tenant.
   * @returns `rate_limited` where there is none, with the time until there is one
   */
  charge(metadata: Metadata, now = performance.now()): InferError | undefined {
    const name = metadata.get(this.#key);
    const bucket = (typeof name === 'string' ? this.#buckets.get(name) : undefined) ?? this.#others;
    const { tenant, rate, capacity } = bucket;
    bucket.tokens = Math.min(capacity, bucket.tokens + (now - bucket.filledMs) * rate);
    bucket.filledMs = now;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      diagnostics.tenantCharged.publish({ tenant, outcome: 'admitted' });
      return undefined;
    }
    diagnostics.tenantCharged.publish({ tenant, outcome: 'limited' });
    const waitMs = (1 - bucket.tokens) / rate;
    const who = bucket === this.#others ? `callers without a share of their own (${this.#key})` : `tenant '${tenant}'`;
    const text = `${who} may send ${round(rate * 1_000)} requests a second, and ${round(capacity)} at once: try again later`;
    return new InferError('rate_limited', text, { pushback: withJitter(waitMs, 0) });
  }
}

function round(value: number): number {
  return Number(value.toPrecision(6));
}
