/** Cases by number: each depends only on the seed and its number, so that one that fails can be repeated by itself. */

import { type Random, randomFrom } from '../support/random.ts';
import { tryCalls } from './call-case.ts';
import { tryAnyBlocks, tryNodeEncoder } from './hpack-case.ts';
import { trySession } from './session-case.ts';

type Kind = (random: Random) => void | Promise<void>;

/** By its name, how many of 200 cases are of a kind. A session costs half a millisecond; to have Node speak costs ten times that. */
export const KINDS: Readonly<Record<string, { readonly share: number; readonly tryOne: Kind }>> = {
  sessions: { share: 197, tryOne: trySession },
  'blocks of Node': { share: 1, tryOne: tryNodeEncoder },
  'blocks of nobody': { share: 1, tryOne: tryAnyBlocks },
  calls: { share: 1, tryOne: tryCalls },
};

const DEALT = Object.entries(KINDS).flatMap(([name, { share }]) => Array<string>(share).fill(name));

/** So often others get a turn of the event loop: what sessions have had inflated is dropped there. */
const TURN_EVERY = 50;

export interface FuzzPlan {
  readonly seed: number;
  /** The first case, and how many. */
  readonly from: number;
  readonly cases: number;
  /** All of this kind, where it is given. */
  readonly kind?: string | undefined;
}

export class FuzzFailure extends Error {
  readonly seed: number;
  readonly number: number;
  readonly kind: string;

  constructor({ seed }: FuzzPlan, number: number, kind: string, cause: unknown) {
    const again = `npm run fuzz -- --kind '${kind}' --seed ${seed} --from ${number} --cases 1`;
    super(`case ${number} of seed ${seed} (${kind}) failed; to repeat it: ${again}`, { cause });
    this.seed = seed;
    this.number = number;
    this.kind = kind;
  }
}

/**
 * @param progress is called now and then with the number of cases that passed
 * @throws FuzzFailure at the first case that fails
 */
export async function fuzz(plan: FuzzPlan, progress: (passed: number) => void = () => {}): Promise<void> {
  for (let done = 0; done < plan.cases; done++) {
    const number = plan.from + done;
    const kind = plan.kind ?? DEALT[number % DEALT.length] ?? '';
    try {
      await KINDS[kind]?.tryOne(randomFrom(Math.imul(plan.seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)));
    } catch (cause) {
      throw new FuzzFailure(plan, number, kind, cause);
    }
    if (done % TURN_EVERY === 0) {
      await new Promise(setImmediate);
      progress(done + 1);
    }
  }
  progress(plan.cases);
}
