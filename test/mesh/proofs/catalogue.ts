import { authorization } from './authorization.ts';
import { balance } from './balance.ts';
import { canaryHeader } from './canary-header.ts';
import { canaryShare } from './canary-share.ts';
import { controlStable } from './control-stable.ts';
import { identity } from './identity.ts';
import { leastRequest } from './least-request.ts';
import type { Proof } from './proof.ts';
import { strict } from './strict.ts';

/** All of them, in the order in which they run: a request's path first, then what disturbs the mesh. */
export const PROOFS: readonly Proof[] = [
  identity,
  strict,
  authorization,
  canaryShare,
  canaryHeader,
  controlStable,
  balance,
  leastRequest,
];
