/** How much one client of the HTTP port, and all clients together, may take. Each limit is a setting, named `http` and its name here. */

import type { Limit } from '../../http2/limits.ts';
import { MAX_TIMER_MS } from '../../timer-limit.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const DURATION_MS = { minimum: 1, maximum: MAX_TIMER_MS } as const;

export const HTTP_LIMITS = {
  maxConnections: {
    default: 2_048,
    minimum: 2,
    description:
      'Maximum number of connections to the HTTP port. At the limit, a new connection replaces the longest inactive connection, which has sent no complete head, is idle, or does not read a page. REST requests are never replaced, so `httpMaxRequests` must be lower. If not set, fewer when the limit of open files is low.',
  },
  maxRequests: {
    default: 1_536,
    minimum: 1,
    description:
      'Maximum number of REST requests in progress, from the request head until the client has read the response. Pipelined requests that wait are included. Above the limit, requests are refused with 429 and `connection: close`. The rest of `httpMaxConnections` is kept for `/livez`, `/readyz` and `/metrics`. If not set, at most three quarters of `httpMaxConnections`.',
  },
  maxRequestsPerAddress: {
    default: 1_024,
    minimum: 1,
    description:
      'The same limit per address, so that one client cannot take all. Behind a proxy, all callers share its address. If not set, at most three quarters of `httpMaxRequests`.',
  },
  maxHeaderBytes: {
    default: 64 * KIB,
    minimum: 4 * KIB,
    maximum: 16 * MIB,
    description:
      'Maximum size of the request line and headers; a larger request is refused with 431. The same limit as over gRPC.',
  },
  headMs: {
    default: 10_000,
    ...DURATION_MS,
    description: 'Time limit for receiving the request line and headers; after it the connection is closed with 408.',
  },
  keepAliveMs: {
    default: 65_000,
    ...DURATION_MS,
    description:
      'Time that a connection may be idle between two requests before it is closed. Longer than the 60 s of common load balancers, which must not send a request while the server closes.',
  },
  bodyGraceMs: {
    default: 10_000,
    ...DURATION_MS,
    description:
      'Time that a body may arrive slower than `httpMinBytesPerSecond`, or not at all. After it the request is refused with 408 and its memory is freed.',
  },
  minBytesPerSecond: {
    default: 16 * KIB,
    minimum: 1,
    description:
      'Minimum rate of request bodies and of reading responses, in bytes per second. 128 kbit/s is slower than any line chosen for sending tensors.',
  },
  stallMs: {
    default: 60_000,
    ...DURATION_MS,
    description:
      'Time that a client may read a response slower than `httpMinBytesPerSecond`, or not at all. After it the connection is closed and the memory of the response is freed. The kernel requests more data only after about 1 MiB was read, so this time is long.',
  },
  maxUnreadBytes: {
    default: 256 * MIB,
    minimum: 64 * KIB,
    description:
      'Maximum size of an encoded response. A larger one is refused with 413. If not set, at most half of `httpMaxUnreadBytesInAll`.',
  },
  maxUnreadBytesInAll: {
    default: 512 * MIB,
    minimum: 64 * KIB,
    description:
      'Bytes of responses that clients are reading, over all connections. Above it, the responses without progress for longest are cut; if all make progress, a new response is refused with 429. If not set, at most a tenth of the memory.',
  },
} as const satisfies Record<string, Limit>;

export type HttpLimitName = keyof typeof HTTP_LIMITS;
export type HttpLimits = Readonly<Record<HttpLimitName, number>>;

export const DEFAULT_HTTP_LIMITS = Object.fromEntries(
  Object.entries(HTTP_LIMITS).map(([name, limit]) => [name, limit.default]),
) as HttpLimits;
