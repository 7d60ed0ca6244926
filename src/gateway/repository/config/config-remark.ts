export interface Remark {
  /** Path to the field. */
  readonly path: readonly (string | number)[];
  readonly text: string;
}

export interface Remarks {
  readonly problems: readonly Remark[];
  readonly warnings: readonly Remark[];
}

/** Where rules say what they found. */
export interface Sink {
  readonly refuse: (path: Remark['path'], text: string) => void;
  readonly warn: (path: Remark['path'], text: string) => void;
}

export function has<Key extends string>(content: unknown, key: Key): content is Record<Key, unknown> {
  return typeof content === 'object' && content !== null && Object.hasOwn(content, key);
}

export function isText(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}

export function isFilled(value: object | undefined): boolean {
  return value !== undefined && Object.keys(value).length > 0;
}
