/** The tensors of a session, which are the same in all instances of a version and after each restart. */

import type { SessionInfo } from '../../worker/protocol.ts';
import { LoadError } from './runner-process.ts';

/**
 * Requests are checked against the signature that the first load found.
 * @throws LoadError where the file that is loaded after an outage has other tensors.
 */
export function sameAs(first: SessionInfo | undefined, again: SessionInfo): SessionInfo {
  const signatureOf = ({ inputs, outputs }: SessionInfo): string => JSON.stringify([inputs, outputs]);
  if (first === undefined || signatureOf(first) === signatureOf(again)) return again;
  throw new LoadError('its file holds a model with other inputs or outputs than before: load the model again');
}
