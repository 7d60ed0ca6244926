/** A document whose values know where they are written. */

/** Both from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** What is wrong, and where. */
export interface Problem extends Position {
  readonly message: string;
}

export interface Located {
  readonly content: unknown;
  /** Where the value at a path is written; where there is none, the nearest around it. */
  readonly locate: (path: readonly PropertyKey[]) => Position;
}

/** `file:line:column: what is wrong`, as editors and terminals find their way by. */
export function describeProblem(file: string, { line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`;
}
