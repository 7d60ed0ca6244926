/** `/detokenize`: token ids to texts. */

import { decodeBytesTensor } from '../../../../wire/bytes-tensor.ts';
import { InferError } from '../../../errors.ts';
import type { InferenceApi } from '../../inference-service.ts';
import { hasValue, type JsonObject } from '../json-field.ts';
import { ok, type RestAnswer, type RestContext } from '../rest-route.ts';
import { mistake, modelIn, shown, tokensIn } from './text-input.ts';
import { type ChainStep, findDetokenizer } from './text-model.ts';
import { TextRequests } from './text-requests.ts';
import { idTensor } from './tokens.ts';

const IDS = 'input_ids';
const SKIP = 'skip_special_tokens';
const TEXT = 'text';

/** `{text}` of the ids of one text; `{texts}` of a list of them. @throws InferError */
export async function detokenize(api: InferenceApi, body: JsonObject, { call }: RestContext): Promise<RestAnswer> {
  const name = modelIn(body);
  const { lists, isList } = tokensIn(body);
  const { skip_special_tokens: skips } = body;
  const isSkipping = isSkippingIn(skips);
  const requests = new TextRequests(api, call);
  const detokenizer = await findDetokenizer(api, name, call);
  const texts = await requests.each(lists, async (ids, index) => {
    try {
      return await textOf(ids, isSkipping, { name, detokenizer, requests });
    } catch (error) {
      throw isList ? inField(error, `tokens[${index}]`) : inField(error, 'tokens');
    }
  });
  return ok(isList ? { texts } : { text: texts[0] });
}

async function textOf(
  ids: readonly number[],
  isSkipping: boolean,
  asked: { readonly name: string; readonly detokenizer: ChainStep; readonly requests: TextRequests },
): Promise<string> {
  const { model, version } = asked.detokenizer;
  const flag = { name: SKIP, datatype: 'BOOL', shape: [1], data: Uint8Array.of(isSkipping ? 1 : 0) } as const;
  const answer = await asked.requests.ask({
    model,
    version,
    inputs: [idTensor(IDS, ids, [ids.length]), flag],
    outputs: [TEXT],
    stepOf: asked.name,
  });
  const [bytes = new Uint8Array(0)] = decodeBytesTensor(answer.get(TEXT)?.data ?? new Uint8Array(0), 1);
  return Buffer.from(bytes).toString();
}

/** Names the list whose ids the model refuses. */
function inField(error: unknown, field: string): unknown {
  if (!(error instanceof InferError) || error.reason !== 'invalid_data') return error;
  return new InferError(error.reason, `'${field}': ${error.message}`, { field });
}

function isSkippingIn(value: unknown): boolean {
  if (!hasValue(value)) return true;
  if (typeof value === 'boolean') return value;
  throw mistake(SKIP, shown(value), 'true or false');
}
