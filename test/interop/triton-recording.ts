/** What a Triton Inference Server 2.51.0 answered, request by request. The recording lies beside the repository, not in it. */

import fs from 'node:fs';
import type { Message } from '../support/stock-client.ts';

const FILE = new URL('../../../shared/data/triton-recorded.jsonl', import.meta.url);

/** Which server was asked: one that loads all models, one that loads on request, or one by HTTP. */
export type Mode = 'all models' | 'explicit control' | 'HTTP';

/** A request, and how it was answered. */
export interface Recorded {
  /** Its name; with a number where several have the same. */
  readonly name: string;
  readonly mode: Mode;
  /** Such as `ModelInfer`, or a path where bytes were sent instead of a message. */
  readonly rpc: string;
  // biome-ignore lint/suspicious/noExplicitAny: messages of all kinds, lists of them, HTTP requests, or bytes in base64
  readonly request: any;
  /** Such as `NOT_FOUND`, or an HTTP status. */
  readonly code: string;
  readonly text: string;
  readonly answer: Message | readonly Message[] | undefined;
}

/** All that were answered, in their order. `undefined` where there is no recording. */
export function recording(): readonly Recorded[] | undefined {
  if (!fs.existsSync(FILE)) return undefined;
  const lines = fs.readFileSync(FILE, 'utf8').trim().split('\n').map(parse);
  const seen = new Map<string, number>();
  const named = lines.map((line) => {
    const count = (seen.get(line.name) ?? 0) + 1;
    seen.set(line.name, count);
    return count === 1 ? line : { ...line, name: `${line.name} #${count}` };
  });
  return named.filter(({ text }) => !text.startsWith('Stream removed'));
}

function parse(line: string): Recorded {
  const { name, rpc, request, code, message, response } = JSON.parse(line);
  // Times are not part of a name.
  const stem = name.replace(/ \(after \d+ ms\)$/, '');
  return {
    name: stem,
    mode: modeOf(rpc, name),
    rpc,
    request,
    code: String(code),
    text: message ?? '',
    answer: response ?? undefined,
  };
}

function modeOf(rpc: string, name: string): Mode {
  if (rpc === 'HTTP') return 'HTTP';
  return name.startsWith('explicit mode: ') ? 'explicit control' : 'all models';
}
