import { setTimeout as delay } from 'node:timers/promises';

/** Asks again and again until the answer is there. @throws Error with `what` when the time is over */
export async function poll<T>(
  what: string,
  seconds: number,
  ask: () => Promise<T | undefined | false>,
  everyMs = 200,
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await delay(everyMs);
  }
}
