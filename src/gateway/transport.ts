/** Which transport speaks gRPC, whether over TLS, and in how many threads. */

import type { Http2Limits } from '../http2/limits.ts';
import { acceptorsListener } from './accept/acceptors/acceptors.ts';
import type { Listen } from './accept/call.ts';
import { http2Listener } from './accept/grpc/http2-transport.ts';
import { loadTls } from './accept/grpc/tls.ts';
import { MailboxRoom } from './dispatch/mailbox-room.ts';
import { BorrowedTensors } from './landing/borrowed-tensors.ts';
import { Landing } from './landing/landing.ts';
import { diagnostics } from './ops/diagnostics.ts';
import type { Http2SettingName } from './ops/limit-setting-name.ts';
import { http2Limits } from './ops/limit-settings.ts';
import { usableCores } from './ops/machine-capacity.ts';
import { outputLimit, type Settings } from './ops/settings.ts';

export type TransportSettings = Pick<
  Settings,
  | 'transport'
  | 'acceptors'
  | 'mailboxDirectory'
  | 'tlsCertificate'
  | 'tlsPrivateKey'
  | 'tlsClientCa'
  | 'maxMessageBytes'
  | 'maxOutputBytes'
  | Http2SettingName
>;

/** How each port of gRPC is opened. */
export interface Listeners {
  /** For the port that takes inference. */
  readonly listen: Listen;
  /** For the admin port, whose few calls need one thread. */
  readonly listenAdmin: Listen;
}

/**
 * The settings go together, which `ops/settings-rules.ts` checks.
 * @throws Error that names the file that is missing or wrong
 */
export async function chooseTransport(settings: TransportSettings): Promise<Listeners> {
  const { transport, tlsCertificate: certificate, tlsPrivateKey: privateKey, tlsClientCa } = settings;
  // The library is a tenth of a start, and by default nothing needs it.
  if (transport !== 'h2') {
    const { listenGrpcJs } = await import('./accept/grpc-js-transport.ts');
    return { listen: listenGrpcJs, listenAdmin: listenGrpcJs };
  }
  const limits = http2Limits(settings);
  const files =
    certificate === undefined || privateKey === undefined
      ? undefined
      : { certificate, privateKey, ...(tlsClientCa !== undefined && { clientAuthorities: tlsClientCa }) };
  const tls = files === undefined ? undefined : await loadTls(files);
  const listenAdmin = http2Listener({ limits, ...(tls !== undefined && { tls }) });
  const cores = usableCores();
  const count = acceptorCount(settings.acceptors, cores);
  if (count === 1) {
    const landing = landingIn(settings.mailboxDirectory);
    return { listen: http2Listener({ limits, landing, ...(tls !== undefined && { tls }) }), listenAdmin };
  }
  if (count >= cores) {
    const text = `${count} acceptors on ${cores} cores leave none for runners: give at most ${Math.max(1, Math.floor(cores) - 1)} (acceptors)`;
    diagnostics.notice.publish({ level: 'warn', text });
  }
  const ofEach = shareOfAcceptor(limits, count, settings);
  const { mailboxDirectory: landingDirectory } = settings;
  MailboxRoom.in(landingDirectory).share(BorrowedTensors.in(landingDirectory));
  return {
    listen: acceptorsListener({ count, limits: ofEach, landingDirectory, ...(files !== undefined && { tls: files }) }),
    listenAdmin,
  };
}

/** Models need far more cores than their calls: an acceptor carries more small calls than four cores run. */
const CORES_PER_ACCEPTOR = 4;
/** Two fill the owner of all calls with large tensors in cleartext (docs/performance.md); TLS and compression take more. */
const MAX_AUTO_ACCEPTORS = 4;

/** The number that the setting stands for on a machine of so many usable cores. */
export function acceptorCount(setting: Settings['acceptors'], cores: number): number {
  if (setting !== 'auto') return setting;
  return Math.max(1, Math.min(MAX_AUTO_ACCEPTORS, Math.floor(cores / CORES_PER_ACCEPTOR)));
}

/** A connection takes messages of more than 64 KiB only while an eighth of its budget is free. */
const INCOMING_PER_MESSAGE = 1.5;

/**
 * The limits of one of `count` acceptors. Bytes that all connections may hold are divided, because each acceptor ends requests of
 * its own connections when they hold too much; a share has room for the longest message. Connections are counted together
 * (`http2/connection-group.ts`), and all other limits are for one connection.
 */
export function shareOfAcceptor(
  limits: Http2Limits,
  count: number,
  settings: Pick<Settings, 'maxMessageBytes' | 'maxOutputBytes'>,
): Http2Limits {
  const share = (all: number, least: number): number => Math.min(all, Math.max(Math.floor(all / count), least));
  const incoming = share(limits.maxIncomingBytesInAll, INCOMING_PER_MESSAGE * settings.maxMessageBytes);
  const unread = share(limits.maxUnreadBytesInAll, outputLimit(settings));
  return {
    ...limits,
    maxIncomingBytesInAll: incoming,
    maxIncomingBytes: Math.min(limits.maxIncomingBytes, incoming),
    maxUnreadBytesInAll: unread,
    maxUnreadBytes: Math.min(limits.maxUnreadBytes, unread),
  };
}

/** Gives way to the batches of this process. */
function landingIn(directory: string): Landing | undefined {
  const landing = Landing.in(directory);
  if (landing !== undefined) MailboxRoom.in(directory).share(landing);
  return landing;
}
