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

/** The flags with which a process of ours starts. */
export const COLLECTION_FLAGS: readonly string[] =
  Number.parseInt(process.versions.node, 10) >= FIRST_NODE ? BY_TOTAL_MEMORY : [];

/** The same for this process; to be called before there is load. */
export function collectByTotalMemory(): void {
  for (const flag of COLLECTION_FLAGS) v8.setFlagsFromString(flag);
}
