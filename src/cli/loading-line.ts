/** One line on a terminal that changes while models load, such as `loading 7 of 16: resnet50, 37 %`. */

import type { ModelSummary } from '../gateway/main.ts';
import { diagnostics } from '../gateway/ops/diagnostics.ts';
import { toOneLine } from './terminal-text.ts';

/** A line of the log overwrites the whole line: each is longer. */
const MAX_WIDTH = 60;
const CLEAR_LINE = '\u001b[2K';

/** `undefined` when nothing loads. */
export function describeLoading(models: readonly ModelSummary[]): string | undefined {
  const loading = models.filter(({ state }) => state === 'LOADING');
  const [current] = loading;
  if (current === undefined) return undefined;
  const done = models.length - loading.length;
  const share = Math.floor((100 * done) / models.length);
  const [head, tail] = [`loading ${done + 1} of ${models.length}: `, `, ${share} %`];
  const name = toOneLine(current.name);
  const room = MAX_WIDTH - head.length - tail.length;
  return `${head}${name.length > room ? `${name.slice(0, room - 1)}…` : name}${tail}`;
}

/** Draws the line now and after each change of a model, until the returned function takes it away. */
export function showLoading(terminal: NodeJS.WritableStream, models: () => readonly ModelSummary[]): () => void {
  const draw = (): void => {
    const line = describeLoading(models());
    // The cursor goes back, so that a line of the log begins where this one does.
    terminal.write(`${CLEAR_LINE}${line ?? ''}\r`);
  };
  const unsubscribe = diagnostics.modelChanged.subscribe(draw);
  draw();
  return () => {
    unsubscribe();
    terminal.write(`${CLEAR_LINE}\r`);
  };
}
