/** JSON whose numbers are exact: integers that a number cannot hold are `bigint`, and a zero keeps its sign. */

import { JsonReader } from './json-reader.ts';

/** A user's own input is read whole. */
const NO_LIMITS = { maxBytes: Infinity, maxValues: Infinity };

/** Also reads NaN and infinities, as Python writes them. @throws JsonError */
export function parseExactJson(text: string): unknown {
  const reader = new JsonReader(Buffer.from(text), NO_LIMITS);
  const value = reader.value();
  reader.end();
  return value;
}

export function formatExactJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === 'bigint') return rawJson(String(item));
    return Object.is(item, -0) ? rawJson('-0.0') : item;
  });
}

/** `JSON.rawJSON`, which every supported Node has and TypeScript does not know yet. */
function rawJson(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}
