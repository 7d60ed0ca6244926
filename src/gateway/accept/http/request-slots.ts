import type { HttpLimits } from '../../ops/http-limits.ts';
import { limitReached } from './limit-events.ts';

/** How many requests over REST are under way, or wait behind others of their connection: in all, and of each address. */
export class RequestSlots {
  readonly #limits: HttpLimits;
  readonly #ofAddress = new Map<string, number>();
  #taken = 0;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes a slot, or gives the reason why there is none. */
  take(address: string): string | undefined {
    const { maxRequests, maxRequestsPerAddress } = this.#limits;
    const own = this.#ofAddress.get(address) ?? 0;
    if (own >= maxRequestsPerAddress) {
      limitReached('maxRequestsPerAddress');
      return `${own} requests of this address are under way (httpMaxRequestsPerAddress): try again`;
    }
    if (this.#taken >= maxRequests) {
      limitReached('maxRequests');
      return `${this.#taken} REST requests are under way (httpMaxRequests): try again`;
    }
    this.#ofAddress.set(address, own + 1);
    this.#taken++;
    return undefined;
  }

  give(address: string): void {
    const left = (this.#ofAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#ofAddress.delete(address);
    else this.#ofAddress.set(address, left);
    this.#taken--;
  }
}
