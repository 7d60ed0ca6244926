/** Which transport speaks gRPC, and whether over TLS. */

import type { Listen } from './accept/call.ts';
import { http2Listener } from './accept/grpc/http2-transport.ts';
import { loadTls } from './accept/grpc/tls.ts';
import { type Http2SettingName, http2Limits } from './ops/limit-settings.ts';
import type { Settings } from './ops/settings.ts';

export type TransportSettings = Pick<
  Settings,
  'transport' | 'tlsCertificate' | 'tlsPrivateKey' | 'tlsClientCa' | Http2SettingName
>;

/**
 * The settings go together, which `ops/settings-rules.ts` checks.
 * @throws Error that names the file that is missing or wrong
 */
export async function chooseTransport(settings: TransportSettings): Promise<Listen> {
  const { transport, tlsCertificate: certificate, tlsPrivateKey: privateKey, tlsClientCa } = settings;
  // The library is a tenth of a start, and by default nothing needs it.
  if (transport !== 'h2') return (await import('./accept/grpc-js-transport.ts')).listenGrpcJs;
  const limits = http2Limits(settings);
  if (certificate === undefined || privateKey === undefined) return http2Listener({ limits });
  const authorities = tlsClientCa === undefined ? {} : { clientAuthorities: tlsClientCa };
  const tls = await loadTls({ certificate, privateKey, ...authorities });
  return http2Listener({ tls, limits });
}
