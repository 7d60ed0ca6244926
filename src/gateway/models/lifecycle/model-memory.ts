/**
 * The memory of models: what their runners hold, and whether there is room for more.
 *
 * MEM-1: memory is measured, process by process (process-memory.ts): a process that models share counts once.
 * MEM-2: a load counts with an estimate until it is done; an unload counts until the process is gone.
 * MEM-3: one decides at a time, so that room which was made for one is not taken by another.
 */

import path from 'node:path';
import { Mutex } from '../../../mutex.ts';
import { processMemory } from '../../dispatch/process-memory.ts';
import { InferError, withJitter } from '../../errors.ts';
import { absent, readEntries, statFile } from '../../repository/disk.ts';
import type { Servable } from '../servable.ts';

/** The part of a servable that memory is about. */
export type Occupant = Pick<Servable, 'ref' | 'state' | 'pid' | 'modelPaths'>;

/** Models that may go to make room for others. */
export interface Evictor {
  /** Names in the order of eviction. Each can be evicted at once. */
  evictable(): readonly string[];
  /** Resolves when the memory of a model is given back. */
  evict(name: string): Promise<void>;
}

const MiB = 2 ** 20;
/**
 * What a runner takes before it has a model, and each of its sessions before its weights (measured, with some air); and how
 * much larger weights are in memory than on disk, with what a first run takes besides.
 */
const PROCESS_BYTES = 40 * MiB;
const SESSION_BYTES = 28 * MiB;
const FILES_FACTOR = 1.25;
/** A load that was refused is worth another try after about this long. */
const PUSHBACK_MS = 1_000;

interface Stay {
  /** What it is expected to take, in bytes. */
  readonly estimate: number;
  /** Size of its files: the remembered memory is valid only for the same size. */
  readonly fileBytes: number;
  /** Memory of its process before the load. */
  readonly bytesBefore: number;
  isLoaded: boolean;
  /** Its load failed: it holds nothing. */
  hasFailed: boolean;
}

const RECENT_MS = 5_000;

export class ModelMemory {
  readonly #limit: number | undefined;
  readonly #stays = new Map<Occupant, Stay>();
  /** What models took when they were last here, by `name:version`. */
  readonly #seen = new Map<string, { readonly fileBytes: number; readonly bytes: number }>();
  readonly #mutex = new Mutex();
  /** By process, when it was last looked at. */
  #measured: ReadonlyMap<number, number> = new Map();
  #recent: Promise<ReadonlyMap<Occupant, number>> | undefined;
  #recentAt = 0;

  /** @param limit bytes that the runners of all models may hold; without it, there is room for any. */
  constructor(limit?: number) {
    this.#limit = limit;
  }

  /**
   * Takes room for versions that are to be loaded: for all of them, or for none. Those without a process need none.
   * @param evictor models that may be evicted for them; none by default.
   * @throws InferError `queue_full` where there is no room, and none can be made.
   */
  reserve(arriving: readonly Occupant[], evictor?: Evictor): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#limit !== undefined) await this.measure();
      const stays = new Map<Occupant, Stay>();
      for (const occupant of arriving.filter(hasProcess)) stays.set(occupant, await this.#planStay(occupant));
      const needed = [...stays.values()].reduce((sum, { estimate }) => sum + estimate, 0);
      if (needed > 0) await this.#makeRoom(needed, (held) => this.#refuse(arriving, needed, held), evictor);
      for (const [occupant, stay] of stays) this.#stays.set(occupant, stay);
    });
  }

  /**
   * Versions that room was taken for are loaded, or have failed: from now on they count with what they hold.
   * @throws InferError `queue_full` where that is too much, and no room can be made: they must go.
   */
  settle(arrived: readonly Occupant[], evictor?: Evictor): Promise<void> {
    return this.#mutex.run(async () => {
      for (const occupant of arrived) {
        const stay = this.#stays.get(occupant);
        if (stay === undefined) continue;
        stay.isLoaded = true;
        stay.hasFailed = occupant.state !== 'READY';
      }
      if (this.#limit === undefined) return;
      await this.measure();
      const took = arrived.filter(hasProcess).reduce((sum, occupant) => sum + this.#brought(occupant, arrived), 0);
      if (took > 0) await this.#makeRoom(0, (held) => this.#refuse(arrived, took, held - took), evictor);
    });
  }

  /** A version has been closed. */
  leave(occupant: Occupant): void {
    this.#stays.delete(occupant);
  }

  /** As `measure`, at most a few seconds old: the kernel counts pages for it, and `/metrics` may be scraped often. */
  recent(): Promise<ReadonlyMap<Occupant, number>> {
    const now = performance.now();
    if (this.#recent === undefined || now - this.#recentAt > RECENT_MS) {
      this.#recentAt = now;
      this.#recent = this.measure();
    }
    return this.#recent;
  }

  /** Memory of each version; versions that share a process have equal parts of it. Unloaded versions have 0. */
  async measure(): Promise<ReadonlyMap<Occupant, number>> {
    const occupants = [...this.#stays.keys()];
    const pids = new Set(occupants.flatMap(({ pid }) => pid ?? []));
    const read = await Promise.all([...pids].map(async (pid) => ({ pid, bytes: await processMemory(pid) })));
    this.#measured = new Map(read.flatMap(({ pid, bytes }) => (bytes === undefined ? [] : [[pid, bytes]])));
    return new Map(
      occupants.map((occupant) => {
        const together = occupants.filter(({ pid }) => pid === occupant.pid);
        const bytes = this.#bytesOf(occupant) / together.length;
        // Models grow while they serve. The share of one of several in a process is unknown.
        if (together.length === 1 && bytes > 0) this.#remember(occupant, bytes);
        return [occupant, bytes];
      }),
    );
  }

  async #planStay(occupant: Occupant): Promise<Stay> {
    const arriving = { isLoaded: false, hasFailed: false, bytesBefore: this.#bytesOf(occupant) };
    if (this.#limit === undefined) return { ...arriving, estimate: 0, fileBytes: 0 };
    const [modelPath = ''] = occupant.modelPaths;
    const fileBytes = await sizeOf(path.dirname(modelPath));
    const seen = this.#seen.get(keyOf(occupant));
    if (seen?.fileBytes === fileBytes) return { ...arriving, estimate: seen.bytes, fileBytes };
    const sessions = occupant.modelPaths.length * (SESSION_BYTES + FILES_FACTOR * fileBytes);
    return { ...arriving, estimate: sessions + (occupant.pid === undefined ? PROCESS_BYTES : 0), fileBytes };
  }

  /** @returns the bytes that a version has brought with it. */
  #brought(occupant: Occupant, arrived: readonly Occupant[]): number {
    const stay = this.#stays.get(occupant);
    if (stay === undefined || occupant.pid === undefined) return 0;
    const together = arrived.filter(({ pid }) => pid === occupant.pid);
    const bytes = Math.max(0, this.#bytesOf(occupant) - stay.bytesBefore) / together.length;
    this.#remember(occupant, bytes);
    return bytes;
  }

  #remember(occupant: Occupant, bytes: number): void {
    const stay = this.#stays.get(occupant);
    if (stay?.isLoaded === true) this.#seen.set(keyOf(occupant), { fileBytes: stay.fileBytes, bytes });
  }

  async #makeRoom(needed: number, refusal: (held: number) => InferError, evictor?: Evictor): Promise<void> {
    const limit = this.#limit ?? Number.POSITIVE_INFINITY;
    for (;;) {
      await this.measure();
      const held = this.#heldWithout([]);
      if (held + needed <= limit) return;
      const leaving = chooseLeaving(evictor?.evictable() ?? [], (gone) => this.#heldWithout(gone) + needed <= limit);
      if (evictor === undefined || leaving.length === 0) throw refusal(held);
      await Promise.all(leaving.map((name) => evictor.evict(name)));
    }
  }

  /** Bytes that are held, or about to be, if these models were gone. */
  #heldWithout(gone: readonly string[]): number {
    const processes = new Map<number | Occupant, { readonly of: Occupant; loaded?: number; loading: number }>();
    for (const [occupant, { estimate, isLoaded, hasFailed }] of this.#stays) {
      // A loaded version without a process is about to get one again.
      if (hasFailed || gone.includes(occupant.ref.name)) continue;
      const key = occupant.pid ?? occupant;
      const process = processes.get(key) ?? { of: occupant, loading: 0 };
      processes.set(key, process);
      if (isLoaded) process.loaded = (process.loaded ?? 0) + estimate;
      else process.loading += estimate;
    }
    let held = 0;
    for (const { of, loaded, loading } of processes.values()) {
      const measured = this.#bytesOf(of, loaded);
      // In a process without loaded versions, all memory belongs to the versions being loaded.
      held += loaded === undefined ? Math.max(measured, loading) : measured + loading;
    }
    return held;
  }

  /** What the occupant's process was measured to hold. */
  #bytesOf({ pid }: Occupant, otherwise = 0): number {
    return (pid === undefined ? undefined : this.#measured.get(pid)) ?? otherwise;
  }

  #refuse(who: readonly Occupant[], needed: number, held: number): InferError {
    const limit = this.#limit ?? 0;
    const text = `there is no room for model '${who[0]?.ref.name}': it needs ${inMiB(needed)}, the others hold ${inMiB(held)}, and all may hold ${inMiB(limit)} (modelMemoryBytes)`;
    return new InferError('queue_full', text, { pushback: needed > limit ? 'never' : withJitter(PUSHBACK_MS) });
  }
}

/** The first models whose memory is enough, without models that would not help; none if all of them are not enough. */
function chooseLeaving(evictable: readonly string[], isEnough: (gone: readonly string[]) => boolean): string[] {
  const count = evictable.findIndex((_, index) => isEnough(evictable.slice(0, index + 1))) + 1;
  let leaving = evictable.slice(0, count);
  for (const name of leaving.toReversed()) {
    const others = leaving.filter((other) => other !== name);
    if (isEnough(others)) leaving = others;
  }
  return leaving;
}

function hasProcess({ modelPaths }: Occupant): boolean {
  return modelPaths.length > 0;
}

function keyOf({ ref }: Occupant): string {
  return `${ref.name}:${ref.version}`;
}

/** Bytes of the files of a version: the model, and the weights beside it. */
async function sizeOf(directory: string): Promise<number> {
  const entries = (await readEntries(directory).catch(absent)) ?? [];
  const stats = await Promise.all(entries.map(({ name }) => statFile(path.join(directory, name))));
  return stats.reduce((sum, stat) => sum + (stat?.isFile() === true ? Number(stat.size) : 0), 0);
}

function inMiB(bytes: number): string {
  return `${Math.ceil(bytes / MiB)} MiB`;
}
