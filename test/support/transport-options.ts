import type { TransportOptions } from '../../src/gateway/accept/call.ts';

/** Options of a transport on a free port of this machine. Tests spread them, and name their own differences. */
export const TRANSPORT_OPTIONS: TransportOptions = {
  host: '127.0.0.1',
  port: 0,
  maxMessageBytes: 1024 * 1024,
  maxConcurrentStreams: 100,
  defaultDeadlineMs: 30_000,
  maxDeadlineMs: 60_000,
};
