/** The thread of an acceptor: our HTTP/2 on a port that it shares with others, in front of a line to the owner. */

import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../error-message.ts';
import { SharedConnectionGroup } from '../http2/connection-group.ts';
import type { Http2Server } from '../http2/server.ts';
import {
  AcceptorCells,
  type AcceptorSpec,
  clockOrigin,
  type FromAcceptor,
  isParcel,
  type ToAcceptor,
} from './accept/acceptors/acceptor-protocol.ts';
import { Forwarder } from './accept/acceptors/forwarder.ts';
import { http2Listener } from './accept/grpc/http2-transport.ts';
import { loadTls } from './accept/grpc/tls.ts';
import { Landing } from './landing/landing.ts';
import { diagnostics } from './ops/diagnostics.ts';

/** How often the owner's gauges follow, and bytes under way are counted off where nothing else happens. */
const REPORT_MS = 100;

if (parentPort === null) throw new Error('an acceptor is a thread of the gateway');
const owner = parentPort;
const spec = workerData as AcceptorSpec;
const cells = new AcceptorCells(spec.cells);

function post(message: FromAcceptor): void {
  owner.postMessage(message, isParcel(message) ? message : []);
}

const landing = spec.landingDirectory === undefined ? undefined : Landing.in(spec.landingDirectory);

const forwarder = new Forwarder({
  clockShiftMs: clockOrigin() - spec.clockOrigin,
  maxBytesUnderWay: spec.limits.maxIncomingBytesInAll,
  post,
  emptyFiles: () => landing?.evacuate(),
  taken: () => cells.taken,
});

/** The owner's observers see what happens here. */
function relayEvents(): void {
  diagnostics.notice.subscribe(({ level, text, cause }) => {
    post({ kind: 'notice', level, text, cause: cause === undefined ? undefined : messageOf(cause) });
  });
  diagnostics.limitReached.subscribe(({ limit }) => post({ kind: 'limit', limit }));
}

function listen(tls: Awaited<ReturnType<typeof loadTls>> | undefined): Promise<Http2Server> {
  const { memory, seed } = spec.connections;
  const start = http2Listener({
    limits: spec.limits,
    group: new SharedConnectionGroup(memory, spec.acceptor, seed),
    landing,
    ...(tls !== undefined && { tls }),
  });
  return start(spec.options, forwarder.routes(spec.routes));
}

function serve(server: Http2Server): void {
  const report = (): void => {
    cells.gauges = { ...server.gauges, activeMs: performance.eventLoopUtilization().active };
    forwarder.settle();
  };
  const reporting = setInterval(report, REPORT_MS);
  owner.on('message', (message: ToAcceptor) => {
    if (isParcel(message)) {
      forwarder.receive(message);
      return;
    }
    void server.drain(message.graceMs).then(() => {
      clearInterval(reporting);
      report();
      forwarder.flush();
      post({ kind: 'drained' });
    });
  });
  post({ kind: 'listening', port: server.port });
}

relayEvents();
const { tls, tlsReloadMs } = spec;
try {
  const identity =
    tls === undefined ? undefined : await loadTls(tls, tlsReloadMs === undefined ? {} : { reloadMs: tlsReloadMs });
  serve(await listen(identity));
} catch (error) {
  post({ kind: 'refused', text: messageOf(error) });
}
