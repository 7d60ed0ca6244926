import { noSharedMemory, unknownRegion } from '../shared-memory.ts';
import { DONE, ok, type RestRoute } from './rest-route.ts';

/** Nothing is registered, and nothing can be: clients that clean up before they start find nothing to do. */
export function sharedMemoryRoutes(kind: 'system' | 'cuda'): RestRoute[] {
  const base = `/v2/${kind}sharedmemory`;
  const rpc = kind === 'system' ? 'SystemSharedMemory' : 'CudaSharedMemory';
  return [
    {
      kind: 'json',
      method: 'GET',
      path: `${base}/status`,
      rpc: `${rpc}Status`,
      summary: `The registered regions of ${kind} shared memory: none`,
      answer: () => ok([]),
    },
    {
      kind: 'json',
      method: 'GET',
      path: `${base}/region/{region}/status`,
      rpc: `${rpc}Status`,
      summary: `A registered region of ${kind} shared memory: there is none`,
      answer({ region = '' }) {
        throw unknownRegion(kind, region);
      },
    },
    ...[`${base}/unregister`, `${base}/region/{region}/unregister`].map(
      (path): RestRoute => ({
        kind: 'json',
        method: 'POST',
        path,
        rpc: `${rpc}Unregister`,
        summary: `Unregister regions of ${kind} shared memory: nothing to do`,
        silent: true,
        answer: () => DONE,
      }),
    ),
    {
      kind: 'json',
      method: 'POST',
      path: `${base}/region/{region}/register`,
      rpc: `${rpc}Register`,
      summary: 'Refused: no tensors are taken through shared memory',
      screen: () => noSharedMemory(`${rpc}Register`),
      answer() {
        throw noSharedMemory(`${rpc}Register`);
      },
    },
  ];
}
