/** Load from several processes, for what one cannot send. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import type { ClientUse } from './client-watch.ts';
import type { LoadAnswer, LoadDescription, LoadOrder } from './load-message.ts';
import type { Level, LoadSender, LoadTimes, SentLoad } from './load-sender.ts';
import { Tally } from './tally.ts';

const MODULE = new URL(`./load-process${extname(import.meta.url)}`, import.meta.url);

export class LoadProcesses implements LoadSender, Disposable {
  readonly #children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  /** Resolves when all of them are ready to send. @throws Error where one of them ends */
  static async start(count: number, load: LoadDescription): Promise<LoadProcesses> {
    const children = Array.from({ length: count }, () => {
      return fork(MODULE, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    });
    const started = new LoadProcesses(children);
    try {
      await Promise.all(children.map((child) => ask(child, { kind: 'prepare', load })));
      return started;
    } catch (error) {
      started[Symbol.dispose]();
      throw error;
    }
  }

  get processes(): number {
    return this.#children.length;
  }

  async send(level: Level, times: LoadTimes): Promise<SentLoad> {
    const shares = sharesOf(level, this.processes);
    const answers = await Promise.all(
      shares.map(async (share, index) => {
        const child = this.#children[index];
        if (child === undefined) throw new RangeError(`there is no process ${index}`);
        const answer = await ask(child, { kind: 'send', level: share, times, seed: index + 1 });
        if (answer.kind !== 'sent') throw new TypeError('a process that sends load answered nothing');
        return answer;
      }),
    );
    return { tally: Tally.sum(answers.map(({ tally }) => tally)), use: busiest(answers.map(({ use }) => use)) };
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

/** The level that each process sends; fewer than processes where there are fewer calls under way. */
function sharesOf(level: Level, processes: number): Level[] {
  if (level.kind === 'open') {
    return Array.from({ length: processes }, () => ({ ...level, ratePerS: level.ratePerS / processes }));
  }
  const count = Math.min(processes, level.concurrency);
  return Array.from({ length: count }, (_, index) => ({
    ...level,
    concurrency: Math.floor(level.concurrency / count) + (index < level.concurrency % count ? 1 : 0),
  }));
}

/** The process with the least time decides whether the latencies are the server's. */
function busiest(uses: readonly ClientUse[]): ClientUse {
  const most = (key: keyof ClientUse): number => Math.max(...uses.map((use) => use[key]));
  return { loopBusy: most('loopBusy'), cpu: most('cpu'), lagP99Ms: most('lagP99Ms') };
}

async function ask(child: ChildProcess, order: LoadOrder): Promise<LoadAnswer> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const answer = once(child, 'message', { signal }).then(([message]) => message as LoadAnswer);
  const end = once(child, 'exit', { signal }).then(([code, killedBy]): never => {
    throw new Error(`a process that sends load ended (${killedBy ?? `exit code ${code}`})`);
  });
  // The event that does not come is given up.
  answer.catch(() => {});
  end.catch(() => {});
  child.send(order);
  try {
    return await Promise.race([answer, end]);
  } finally {
    waiting.abort();
  }
}
