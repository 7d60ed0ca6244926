/**
 * Fields of our own section in Triton's `config.pbtxt`, which has no place for them but `parameters`. Triton ignores parameters that
 * its backends do not know, so one file serves both.
 *
 *   parameters { key: "tensorgate.padding" value { string_value: "{\"input_ids\": 0}" } }
 */

import type { Located } from './located.ts';

const PREFIX = 'tensorgate.';

/** Moves the parameters `tensorgate.*` into the section `tensorgate`, so that the schema checks them in every form. */
export function withOwnParameters({ content, locate }: Located): Located {
  if (typeof content !== 'object' || content === null || !('parameters' in content)) return { content, locate };
  const entries = Object.entries(content.parameters ?? {});
  const own = entries.filter(([key]) => key.startsWith(PREFIX));
  if (own.length === 0) return { content, locate };
  const section = own.map(([key, value]) => [key.slice(PREFIX.length), parsed(value)]);
  return {
    content: {
      ...content,
      parameters: Object.fromEntries(entries.filter(([key]) => !key.startsWith(PREFIX))),
      tensorgate: Object.fromEntries(section),
    },
    locate: ([first, field, ...rest]) =>
      first === 'tensorgate' && field !== undefined
        ? locate(['parameters', `${PREFIX}${String(field)}`])
        : locate([first, field, ...rest].filter((step) => step !== undefined)),
  };
}

/** The value that a parameter's text says in JSON; a text that is no JSON is itself, such as `assume`. */
function parsed(parameter: unknown): unknown {
  const text: unknown = (parameter as { readonly string_value?: unknown } | null)?.string_value;
  if (typeof text !== 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
