/** A document whose values know where they are written. */

/** Line and column count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Problem extends Position {
  readonly message: string;
}

export interface Located {
  readonly content: unknown;
  /** Where the value at a path is written; where there is none, the nearest around it. */
  readonly locate: (path: readonly PropertyKey[]) => Position;
}

export type ReadDocument =
  | { readonly kind: 'document'; readonly document: Located }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] };

/** Problems of one text that are reported; more of them say the same. */
export const MAX_PROBLEMS = 20;
/** Characters of one problem: it may quote a name of the text, which may be long. */
const MAX_MESSAGE = 500;

/** `file:line:column: what is wrong`, as editors and terminals find their way by. */
export function describeProblem(file: string, { line, column, message }: Problem): string {
  const shown = message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message;
  return `${file}:${line}:${column}: ${shown}`;
}
