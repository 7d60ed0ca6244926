/** How V8 weighs the memory of messages and tensors, which lies outside its heap. */

import v8 from 'node:v8';

/**
 * By default V8 marks its whole heap whenever some 64 MiB of buffers were allocated since the last time. With messages of
 * 602 KB that is every few calls, and cost more than twice what the calls did (docs/performance.md). Counted as a part of the
 * heap's own limit, buffers lead to a collection when the sum has grown by a share of itself: tripled, because the heap
 * itself is small, and most of the sum are buffers that the next batch replaces. The price is resident memory under such a
 * load. Node 22 has no such flag.
 */
const BY_TOTAL_MEMORY = ['--external-memory-accounted-in-global-limit', '--heap-growing-percent=200'];
const FIRST_NODE = 24;

export const COLLECTION_FLAGS: readonly string[] =
  Number.parseInt(process.versions.node, 10) >= FIRST_NODE ? BY_TOTAL_MEMORY : [];

/**
 * New objects are collected when a quarter of their space is full, not four fifths. Under load V8 lets that space grow to 64 MB.
 * By then the small objects in it are the last to hold hundreds of megabytes of chunks and outputs. Their weight leads to
 * collections of the whole heap, which cost far more. With messages of 12 KB a call costs two thirds, and the process
 * holds two thirds of the memory.
 */
const EARLY_PERCENT = 25;
const USUAL_PERCENT = 80;
/**
 * The space grows by objects that survive. Refusals leave none: it stays at a few megabytes, and a quarter of that is next to
 * nothing. A collection costs about the same however little it finds.
 */
const WORTH_BYTES = 4 * 2 ** 20;

/** Sets the flags for this process, the gateway; to be called before there is load. */
export function tuneCollections(): void {
  for (const flag of COLLECTION_FLAGS) v8.setFlagsFromString(flag);
  tuneNewSpace();
}

/** Sets when new objects are collected, by the size of their space: to be called every few seconds. */
export function tuneNewSpace(): void {
  const space = v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  if (space !== undefined) v8.setFlagsFromString(`--minor-gc-task-trigger=${fullPercent(space.space_size)}`);
}

/** How full a space of so many bytes is, in percent, when its objects are collected. */
export function fullPercent(spaceBytes: number): number {
  const worthwhile = Math.ceil((100 * WORTH_BYTES) / spaceBytes);
  return Math.min(USUAL_PERCENT, Math.max(EARLY_PERCENT, worthwhile));
}
