/** The tenant of a request, whose share of a queue it takes: the value of one metadata key. */

export interface Tenant {
  readonly name: string;
  /** Share in proportion to other tenants. */
  readonly weight: number;
}

interface Metadata {
  get(name: string): string | Uint8Array | undefined;
}

export const UNNAMED: Tenant = { name: '', weight: 1 };

export type TenantOf = (metadata: Metadata) => Tenant;

/**
 * Finds the tenant of a call. Unlike the rate (`admit/rate-limit.ts`), the queue gives each unlisted tenant a share of its own,
 * with weight 1: an invented name gets a share of the queue, but no more requests than the rate allows.
 * @param key the metadata key, in lower case
 * @param weights of the listed tenants
 */
export function tenantsBy(key: string, weights: ReadonlyMap<string, number>): TenantOf {
  const listed = new Map([...weights].map(([name, weight]): [string, Tenant] => [name, { name, weight }]));
  return (metadata) => {
    const name = metadata.get(key);
    if (typeof name !== 'string' || name === '') return UNNAMED;
    return listed.get(name) ?? { name, weight: 1 };
  };
}
