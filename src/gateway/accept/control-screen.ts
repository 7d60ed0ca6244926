import { InferError } from '../errors.ts';
import type { Screen } from './call.ts';

/**
 * Allows only calls with a client certificate that has one of the alternative names in `principals`, such as
 * `URI:spiffe://cluster.local/ns/ops/sa/deployer`. `undefined` without principals: every client may call.
 */
export function controlScreen(principals: readonly string[]): Screen | undefined {
  if (principals.length === 0) return undefined;
  const allowed = new Set(principals);
  return ({ path, peer }) => {
    const names = peer?.certificate?.alternativeNames ?? [];
    if (names.some((name) => allowed.has(name))) return undefined;
    const who = names.length === 0 ? 'a certificate without alternative names' : names.join(', ');
    return new InferError('permission_denied', `${path} is not for ${who} (controlPrincipals)`);
  };
}
