/** The shared-memory RPCs where no region can be registered: clients that clean up before they start find nothing to do. */

import { InferError } from '../errors.ts';

interface RegionRequest {
  /** `''`: every region. */
  readonly name: string;
}

export interface SharedMemoryRpcs {
  readonly SystemSharedMemoryStatus: (request: RegionRequest) => object;
  readonly SystemSharedMemoryRegister: () => object;
  readonly SystemSharedMemoryUnregister: () => object;
  readonly CudaSharedMemoryStatus: (request: RegionRequest) => object;
  readonly CudaSharedMemoryRegister: () => object;
  readonly CudaSharedMemoryUnregister: () => object;
}

export const SHARED_MEMORY_RPCS: SharedMemoryRpcs = {
  SystemSharedMemoryStatus: ({ name }) => noRegions('system', name),
  SystemSharedMemoryRegister: () => refuse('SystemSharedMemoryRegister'),
  SystemSharedMemoryUnregister: () => ({}),
  CudaSharedMemoryStatus: ({ name }) => noRegions('cuda', name),
  CudaSharedMemoryRegister: () => refuse('CudaSharedMemoryRegister'),
  CudaSharedMemoryUnregister: () => ({}),
};

/** The texts are Triton's. */
function noRegions(kind: 'system' | 'cuda', name: string): object {
  if (name === '') return { regions: {} };
  throw new InferError('region_not_found', `Unable to find ${kind} shared memory region: '${name}'`);
}

function refuse(rpc: string): never {
  const text = `${rpc}: this server takes no tensors through shared memory: send the contents in the request`;
  throw new InferError('unimplemented', text);
}
