/** JSON whose numbers are exact: integers that a number cannot hold are `bigint`, and a zero keeps its sign. */

interface ParseContext {
  /** The text of a primitive value. */
  readonly source?: string;
}

type Revive = (key: string, value: unknown, context?: ParseContext) => unknown;

/** @throws SyntaxError */
export function parseExactJson(text: string): unknown {
  const revive: Revive = (_key, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source ?? '')
      : value;
  return JSON.parse(text, revive);
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
