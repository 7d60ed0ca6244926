/** The shared-memory RPCs where no region can be registered: clients that clean up before they start find nothing to do. */

import { InferError } from '../errors.ts';
import type { Method } from './call.ts';
import { refusingMethod } from './refusing-method.ts';
import type { Answers } from './unary-method.ts';

interface RegionMessages {
  /** An empty name stands for every region. */
  readonly request: { readonly name: string };
  readonly response: object;
}

export interface SharedMemoryRpcs {
  readonly SystemSharedMemoryStatus: RegionMessages;
  readonly SystemSharedMemoryUnregister: RegionMessages;
  readonly CudaSharedMemoryStatus: RegionMessages;
  readonly CudaSharedMemoryUnregister: RegionMessages;
}

export const SHARED_MEMORY_ANSWERS: Answers<SharedMemoryRpcs> = {
  SystemSharedMemoryStatus: ({ name }) => noRegions('system', name),
  SystemSharedMemoryUnregister: () => ({}),
  CudaSharedMemoryStatus: ({ name }) => noRegions('cuda', name),
  CudaSharedMemoryUnregister: () => ({}),
};

function noRegions(kind: 'system' | 'cuda', name: string): object {
  if (name === '') return { regions: {} };
  throw unknownRegion(kind, name);
}

/** The error for a request that names a region, on either protocol. The text is Triton's. */
export function unknownRegion(kind: 'system' | 'cuda', name: string): InferError {
  return new InferError('region_not_found', `Unable to find ${kind} shared memory region: '${name}'`);
}

/** The error for a request that registers a region, on either protocol. */
export function noSharedMemory(rpc: string): InferError {
  const text = `${rpc}: this server takes no tensors through shared memory: send the contents in the request`;
  return new InferError('unimplemented', text);
}

export function sharedMemoryRefusal(rpc: string): Method {
  return refusingMethod(() => noSharedMemory(rpc));
}
