/** Where the fields of a configuration are written, so that a decision can be traced to its line. */

import type { Located } from './located.ts';

/** `file:line:column` by the path of a field, such as `tensorgate.objective_ms`. Only fields that the file names. */
export type ConfigOrigins = ReadonlyMap<string, string>;

/** Deeper fields, and fields beyond these many, decide nothing that is traced. */
const MAX_DEPTH = 4;
const MAX_FIELDS = 256;

/** @param file name of the text, for the origins. */
export function originsIn({ content, locate }: Located, file: string): ConfigOrigins {
  const origins = new Map<string, string>();
  const visit = (value: unknown, path: readonly string[]): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || path.length === MAX_DEPTH) return;
    for (const [field, inner] of Object.entries(value)) {
      if (origins.size === MAX_FIELDS) return;
      const at = [...path, field];
      const { line, column } = locate(at);
      origins.set(at.join('.'), `${file}:${line}:${column}`);
      visit(inner, at);
    }
  };
  visit(content, []);
  return origins;
}
