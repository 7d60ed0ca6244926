/** Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`. */

import { boundedText, type InferError } from '../../../errors.ts';
import { type RestError, restError } from '../rest-error.ts';

/** Types of OpenAI by HTTP status; others are mistakes of the caller. */
const TYPES: Readonly<Record<number, string>> = {
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  500: 'server_error',
  501: 'server_error',
  503: 'server_error',
  504: 'timeout_error',
};

export function openAiError(error: InferError): RestError {
  const { code, headers } = restError(error);
  const { message, reason, field = null, pushback } = error;
  const body = {
    message: boundedText(message),
    type: TYPES[code] ?? 'invalid_request_error',
    param: field,
    code: reason,
  };
  return {
    code,
    body: JSON.stringify({ error: body }),
    headers: {
      ...headers,
      // OpenAI's clients look for it first: whole seconds are long here.
      ...(typeof pushback === 'number' && { 'retry-after-ms': String(Math.ceil(pushback)) }),
    },
  };
}
