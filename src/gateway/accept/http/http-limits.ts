/** How much one client of the HTTP port, and all clients together, may take. Each limit is a setting, named `http` and its name here. */

const KIB = 1024;
const MIB = 1024 * KIB;
/** What the timers of Node take. */
const DURATION_MS = { minimum: 1, maximum: 2 ** 31 - 1 } as const;

export interface HttpLimit {
  readonly default: number;
  readonly minimum: number;
  readonly maximum?: number;
  /** What it bounds, what happens there, and why its default is what it is. */
  readonly description: string;
}

export const HTTP_LIMITS = {
  maxConnections: {
    default: 2_048,
    minimum: 2,
    description:
      'Connections to the HTTP port. At the limit a new connection replaces the one that has done nothing for the longest time: it sent no complete head, is idle, or does not read a page. Requests over REST are never replaced, so `httpMaxRequests` must be lower. Unless given, fewer where there are few open files.',
  },
  maxRequests: {
    default: 1_536,
    minimum: 1,
    description:
      'REST requests under way, from their head until their answer has been taken; above it a request is refused with 429 and `connection: close`. What is left of `httpMaxConnections` belongs to `/livez`, `/readyz` and `/metrics`. Unless given, three quarters of `httpMaxConnections` where that is less.',
  },
  maxRequestsPerAddress: {
    default: 1_024,
    minimum: 1,
    description:
      'The same, of one address, so that one client cannot take all; a proxy has one address for all its callers. Unless given, three quarters of `httpMaxRequests` where that is less.',
  },
  maxHeaderBytes: {
    default: 64 * KIB,
    minimum: 4 * KIB,
    maximum: 16 * MIB,
    description:
      'Request line and headers of a request; above it the request is refused with 431. As much as over gRPC.',
  },
  headMs: {
    default: 10_000,
    ...DURATION_MS,
    description:
      'Time in which a request line and its headers have to come whole; then the connection is closed with 408.',
  },
  keepAliveMs: {
    default: 65_000,
    ...DURATION_MS,
    description:
      'Time that a connection may be idle between two requests before it is closed. Longer than the 60 s after which load balancers close theirs, so that they never send a request into the close.',
  },
  bodyGraceMs: {
    default: 10_000,
    ...DURATION_MS,
    description:
      'Time for which a body may come slower than `httpMinBytesPerSecond`, or stand still; then the request is refused with 408 and its memory is freed.',
  },
  minBytesPerSecond: {
    default: 16 * KIB,
    minimum: 1,
    description:
      'The slowest that a body may come and an answer may be taken: 128 kbit/s, less than any line over which tensors are sent on purpose.',
  },
  stallMs: {
    default: 60_000,
    ...DURATION_MS,
    description:
      'Time for which an answer may be taken slower than `httpMinBytesPerSecond`, or stand still; then the connection is closed and the memory of the answer is freed. The kernel asks for more only when about 1 MiB has been read, hence as long as this.',
  },
  maxUnreadBytes: {
    default: 256 * MIB,
    minimum: 64 * KIB,
    description:
      'Longest answer, as it is sent: a connection has one at a time. A longer one is refused with 413. Unless given, half of `httpMaxUnreadBytesInAll` where that is less.',
  },
  maxUnreadBytesInAll: {
    default: 512 * MIB,
    minimum: 64 * KIB,
    description:
      'Answers that clients are taking, of all connections together. Above it the answers that stand still longest are cut; while none does, a new answer is refused with 429. Unless given, a tenth of the memory where that is less.',
  },
} as const satisfies Record<string, HttpLimit>;

export type HttpLimitName = keyof typeof HTTP_LIMITS;
export type HttpLimits = Readonly<Record<HttpLimitName, number>>;

export const DEFAULT_HTTP_LIMITS = Object.fromEntries(
  Object.entries(HTTP_LIMITS).map(([name, limit]) => [name, limit.default]),
) as HttpLimits;

/** The name of the setting of a limit, such as `httpMaxConnections`. */
export type HttpSettingName = `http${Capitalize<HttpLimitName>}`;

export function httpSettingName(name: HttpLimitName): HttpSettingName {
  return `http${name.charAt(0).toUpperCase()}${name.slice(1)}` as HttpSettingName;
}

/** What the port holds of what its limits bound. */
export interface HttpLoad {
  readonly connections: number;
  /** Over REST, under way. */
  readonly requests: number;
  /** Bytes of answers that clients are taking. */
  readonly unreadBytes: number;
}
