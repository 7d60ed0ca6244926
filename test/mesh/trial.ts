/** Runs proofs on one mesh, overlay after overlay, and where it is asked to, the fault that has to break each. */

import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Mutation, Overlay, Proof } from './proofs/proof.ts';
import { inference } from './proofs/requests.ts';
import { Mesh } from './rig/mesh.ts';
import type { Toolbox } from './rig/toolbox.ts';
import { Score } from './score.ts';

/** How long a fault may take until the proof feels it, and a repair until it holds again. */
const PATIENCE_MS = 120_000;
/** So many that each pod gets some, the one with a tenth of them included. */
const CALLS_TO_ALL_PODS = 300;
/** Characters of a failure that are worth reading in a list. */
const LONGEST = 300;

/** Whose fault is written into the mesh too. */
export type Mutated = 'none' | 'one-per-overlay' | 'all';

export async function runProofs(proofs: readonly Proof[], toolbox: Toolbox, mutated: Mutated): Promise<Score> {
  const score = new Score();
  const start = Date.now();
  const mesh = await report(score, 'control plane', async () => ({
    value: await Mesh.start(toolbox),
    figures: 'is up',
  }));
  for (const [overlay, group] of byOverlay(proofs)) {
    console.log('');
    const pods = await report(score, `overlay ${overlay}`, async () => {
      if (mesh === undefined) throw new Error('there is no control plane');
      await mesh.apply(overlay);
      return { value: mesh.pods, figures: `${mesh.pods.length} pods are ready` };
    });
    if (mesh === undefined || pods === undefined) {
      for (const _ of group) score.count('failed');
      continue;
    }
    const broken = mutated === 'all' ? group : group.slice(0, mutated === 'none' ? 0 : 1);
    for (const proof of group) {
      const held = await report(score, proof.name, async () => ({ value: true, figures: await proof.prove(mesh) }));
      if (held !== undefined && broken.includes(proof)) {
        await report(score, `${proof.name}, broken`, async () => ({
          value: true,
          figures: await breakIt(mesh, proof),
        }));
      }
    }
  }
  console.log(`\nall of it took ${seconds(start)} s`);
  return score;
}

function byOverlay(proofs: readonly Proof[]): ReadonlyMap<Overlay, readonly Proof[]> {
  return Map.groupBy(proofs, ({ overlay }) => overlay);
}

interface Success<T> {
  readonly value: T;
  /** The result as text. */
  readonly figures: string;
}

/** Counts, and prints a line. Resolves with what came of it; `undefined` where it failed. */
async function report<T>(score: Score, name: string, attempt: () => Promise<Success<T>>): Promise<T | undefined> {
  const start = Date.now();
  try {
    const { value, figures } = await attempt();
    score.count('passed');
    console.log(`${styleText('green', 'ok  ')} ${name} (${seconds(start)} s): ${figures}`);
    return value;
  } catch (error) {
    score.count('failed');
    console.log(`${styleText('red', 'FAIL')} ${name} (${seconds(start)} s): ${messageOf(error)}`);
    return undefined;
  }
}

/** Writes the fault into the mesh; the proof has to fail there, and to hold again when the fault is gone. */
async function breakIt(mesh: Mesh, { prove, mutation }: Proof): Promise<string> {
  try {
    await inject(mesh, mutation);
    const seen = await untilFailure(() => prove(mesh));
    if (seen === undefined) throw new Error(`it survived: ${mutation.fault}`);
    return `${mutation.fault}: ${seen}`;
  } finally {
    for (const { kind, name } of mutation.patches) await mesh.restore(kind, name);
    await renewConnections(mesh);
    await untilSuccess(() => prove(mesh));
  }
}

/**
 * A proxy judges a connection by the policies under which it was opened. When these change it ends the connection, but with the
 * next answer, which still follows the old ones: the fault would show once more, in whatever proof comes next.
 */
async function renewConnections(mesh: Mesh): Promise<void> {
  for (const client of ['caller', 'admin', 'stranger'] as const) {
    await mesh.calls(client, { ...inference(), count: CALLS_TO_ALL_PODS, parallel: 16 });
  }
}

async function inject(mesh: Mesh, { patches }: Mutation): Promise<void> {
  for (const { kind, name, namespace, operations } of patches) await mesh.patch(kind, name, operations, namespace);
}

async function untilFailure(attempt: () => Promise<string>): Promise<string | undefined> {
  const end = Date.now() + PATIENCE_MS;
  do {
    try {
      await attempt();
    } catch (error) {
      return messageOf(error);
    }
    await delay(500);
  } while (Date.now() < end);
  return undefined;
}

async function untilSuccess(attempt: () => Promise<string>): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`it does not hold again after the repair: ${messageOf(error)}`);
    }
    await delay(500);
  }
}

function seconds(start: number): string {
  return ((Date.now() - start) / 1000).toFixed(1);
}

/** In one line, because each proof is one. */
function messageOf(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim();
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
