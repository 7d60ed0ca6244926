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

/** A version whose memory is measured: the part of a servable that its memory depends on. */
export type MeasuredVersion = Pick<Servable, 'ref' | 'state' | 'pid' | 'modelPaths'>;

/** Models that may go to make room for others. */
export interface Evictor {
  /** Names in the order of eviction. Each can be evicted at once. */
  evictable(): readonly string[];
  /** Resolves when the memory of a model is given back. */
  evict(name: string): Promise<void>;
}

const MiB = 2 ** 20;
/**
 * Memory of a runner before it has a model, and of each of its sessions before its weights (measured, with some air); and how
 * much larger weights are in memory than on disk, with what a first run takes besides.
 */
const PROCESS_BYTES = 40 * MiB;
const SESSION_BYTES = 28 * MiB;
const FILES_FACTOR = 1.25;
/** A load that was refused is worth another try after about this long. */
const PUSHBACK_MS = 1_000;

interface Reservation {
  /** Bytes that the version is expected to take. */
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
  readonly #bytesOfProcess: (pid: number) => Promise<number | undefined>;
  readonly #reservations = new Map<MeasuredVersion, Reservation>();
  /** Bytes that versions took when they were last loaded, by `name:version`. */
  readonly #seen = new Map<string, { readonly fileBytes: number; readonly bytes: number }>();
  readonly #mutex = new Mutex();
  /** By process, when it was last looked at. */
  #measured: ReadonlyMap<number, number> = new Map();
  #recent: Promise<ReadonlyMap<MeasuredVersion, number>> | undefined;
  #recentAt = 0;

  /**
   * @param limit bytes that the runners of all models may hold; without it, there is room for any
   * @param bytesOfProcess by process id; `undefined` for one that is gone
   */
  constructor(limit?: number, bytesOfProcess: (pid: number) => Promise<number | undefined> = processMemory) {
    this.#limit = limit;
    this.#bytesOfProcess = bytesOfProcess;
  }

  /**
   * Reserves room for versions that are to be loaded: for all of them, or for none. Versions without a process need none.
   * @param evictor models that may be evicted for them; none by default.
   * @throws InferError `queue_full` where there is no room, and none can be made.
   */
  reserve(arriving: readonly MeasuredVersion[], evictor?: Evictor): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#limit !== undefined) await this.measure();
      const reservations = new Map<MeasuredVersion, Reservation>();
      for (const version of arriving.filter(hasProcess))
        reservations.set(version, await this.#planReservation(version));
      const needed = [...reservations.values()].reduce((sum, { estimate }) => sum + estimate, 0);
      if (needed > 0) await this.#makeRoom(needed, (held) => this.#refuse(arriving, needed, held), evictor);
      for (const [version, reservation] of reservations) this.#reservations.set(version, reservation);
    });
  }

  /**
   * Replaces the estimates of versions that are loaded, or have failed, by what they hold.
   * @throws InferError `queue_full` where that is too much and no room can be made: the caller unloads them.
   */
  commit(arrived: readonly MeasuredVersion[], evictor?: Evictor): Promise<void> {
    return this.#mutex.run(async () => {
      for (const version of arrived) {
        const reservation = this.#reservations.get(version);
        if (reservation === undefined) continue;
        reservation.isLoaded = true;
        reservation.hasFailed = version.state !== 'READY';
      }
      if (this.#limit === undefined) return;
      await this.measure();
      const took = arrived.filter(hasProcess).reduce((sum, version) => sum + this.#growthOf(version, arrived), 0);
      if (took > 0) await this.#makeRoom(0, (held) => this.#refuse(arrived, took, held - took), evictor);
    });
  }

  /** Ends the reservation of a version that is closed. */
  release(version: MeasuredVersion): void {
    this.#reservations.delete(version);
  }

  /** As `measure`, at most a few seconds old: the kernel counts pages for it, and `/metrics` may be scraped often. */
  recent(): Promise<ReadonlyMap<MeasuredVersion, number>> {
    const now = performance.now();
    if (this.#recent === undefined || now - this.#recentAt > RECENT_MS) {
      this.#recentAt = now;
      this.#recent = this.measure();
    }
    return this.#recent;
  }

  /** Memory of each version; versions that share a process have equal parts of it. Unloaded versions have 0. */
  async measure(): Promise<ReadonlyMap<MeasuredVersion, number>> {
    const versions = [...this.#reservations.keys()];
    const pids = new Set(versions.flatMap(({ pid }) => pid ?? []));
    const read = await Promise.all([...pids].map(async (pid) => ({ pid, bytes: await this.#bytesOfProcess(pid) })));
    this.#measured = new Map(read.flatMap(({ pid, bytes }) => (bytes === undefined ? [] : [[pid, bytes]])));
    return new Map(
      versions.map((version) => {
        const together = versions.filter(({ pid }) => pid === version.pid);
        const bytes = this.#bytesOf(version) / together.length;
        // Models grow while they serve. The share of one of several in a process is unknown.
        if (together.length === 1 && bytes > 0) this.#remember(version, bytes);
        return [version, bytes];
      }),
    );
  }

  async #planReservation(version: MeasuredVersion): Promise<Reservation> {
    const arriving = { isLoaded: false, hasFailed: false, bytesBefore: this.#bytesOf(version) };
    if (this.#limit === undefined) return { ...arriving, estimate: 0, fileBytes: 0 };
    const [modelPath = ''] = version.modelPaths;
    const fileBytes = await sizeOf(path.dirname(modelPath));
    const seen = this.#seen.get(keyOf(version));
    if (seen?.fileBytes === fileBytes) return { ...arriving, estimate: seen.bytes, fileBytes };
    const sessions = version.modelPaths.length * (SESSION_BYTES + FILES_FACTOR * fileBytes);
    return { ...arriving, estimate: sessions + (version.pid === undefined ? PROCESS_BYTES : 0), fileBytes };
  }

  /** @returns the bytes by which the load of a version has grown its process. */
  #growthOf(version: MeasuredVersion, arrived: readonly MeasuredVersion[]): number {
    const reservation = this.#reservations.get(version);
    if (reservation === undefined || version.pid === undefined) return 0;
    const together = arrived.filter(({ pid }) => pid === version.pid);
    const bytes = Math.max(0, this.#bytesOf(version) - reservation.bytesBefore) / together.length;
    this.#remember(version, bytes);
    return bytes;
  }

  #remember(version: MeasuredVersion, bytes: number): void {
    const reservation = this.#reservations.get(version);
    if (reservation?.isLoaded === true) this.#seen.set(keyOf(version), { fileBytes: reservation.fileBytes, bytes });
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
    const processes = new Map<
      number | MeasuredVersion,
      { readonly of: MeasuredVersion; loaded?: number; loading: number }
    >();
    for (const [version, { estimate, isLoaded, hasFailed }] of this.#reservations) {
      // A loaded version without a process is about to get one again.
      if (hasFailed || gone.includes(version.ref.name)) continue;
      const key = version.pid ?? version;
      const process = processes.get(key) ?? { of: version, loading: 0 };
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

  /** Measured memory of the version's process. */
  #bytesOf({ pid }: MeasuredVersion, otherwise = 0): number {
    return (pid === undefined ? undefined : this.#measured.get(pid)) ?? otherwise;
  }

  #refuse(who: readonly MeasuredVersion[], needed: number, held: number): InferError {
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

function hasProcess({ modelPaths }: MeasuredVersion): boolean {
  return modelPaths.length > 0;
}

function keyOf({ ref }: MeasuredVersion): string {
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
