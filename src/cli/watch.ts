import { setTimeout as sleep } from 'node:timers/promises';
import { InferenceError } from '../client/inference-client.ts';
import { Interruption } from './interruption.ts';
import { describeRefusal } from './server-connection.ts';

/** Between looks at the server. */
const LOOK_MS = 2_000;
/** Moves the cursor home and clears what follows. */
const CLEAR_SCREEN = '\u001b[H\u001b[J';

export interface WatchFlags {
  readonly watch?: boolean;
}

/**
 * Prints what `look` returns: once, or with `--watch` until Ctrl-C, which is the regular end. A terminal is redrawn; any other
 * output gets each change appended. A server that is away for a while is waited for.
 */
export async function printOrWatch({ watch }: WatchFlags, look: () => Promise<string>): Promise<number> {
  const first = await look();
  if (watch !== true) {
    process.stdout.write(first);
    return 0;
  }
  using interruption = new Interruption();
  const { signal } = interruption;
  const interrupted = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined));
  });
  let shown: string | undefined;
  for (let text: string | undefined = first; text !== undefined && !signal.aborted; ) {
    if (process.stdout.isTTY === true) process.stdout.write(`${CLEAR_SCREEN}${text}`);
    else if (text !== shown) process.stdout.write(text);
    shown = text;
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    text = await Promise.race([look().catch(describeFailure), interrupted]);
  }
  return 0;
}

function describeFailure(error: unknown): string {
  if (error instanceof InferenceError) return `no answer at the moment: ${describeRefusal(error)}\n`;
  throw error;
}
