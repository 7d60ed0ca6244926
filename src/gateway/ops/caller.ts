/** Who is at the other end of a call, as logs say it. */

import type { ObservedCall } from './observed-call.ts';

const SPIFFE = 'URI:spiffe://';

/** The client's own call: the stream of a message, the request of a step. */
export function wholeCallOf(call: ObservedCall): ObservedCall {
  const own = call.step?.of ?? call;
  return own.stream ?? own;
}

export function addressOf(call: ObservedCall): string | undefined {
  return wholeCallOf(call).peer?.address;
}

/** The SPIFFE ID of the client's certificate, otherwise its subject; `undefined` without a certificate. */
export function identityOf(call: ObservedCall): string | undefined {
  const certificate = wholeCallOf(call).peer?.certificate;
  const name = certificate?.alternativeNames?.find((each) => each.startsWith(SPIFFE));
  return name === undefined ? certificate?.subject : name.slice('URI:'.length);
}
