/** Which transport speaks gRPC, and whether over TLS. */

import type { Listen } from './accept/call.ts';
import { listenGrpcJs } from './accept/grpc-js-transport.ts';
import { http2Listener, listenHttp2 } from './accept/h2/http2-transport.ts';
import { TlsIdentity } from './accept/h2/tls-identity.ts';
import { type Settings, SettingsError } from './ops/settings.ts';

export type TransportSettings = Pick<Settings, 'transport' | 'tlsCertificate' | 'tlsPrivateKey' | 'tlsClientCa'>;

/** @throws SettingsError where settings do not go together, or an Error that names the file that is missing or wrong. */
export async function chooseTransport(settings: TransportSettings): Promise<Listen> {
  const { transport, tlsCertificate: certificate, tlsPrivateKey: privateKey, tlsClientCa } = settings;
  if (certificate === undefined && privateKey === undefined) {
    if (tlsClientCa !== undefined)
      throw new SettingsError(['--tls-client-ca needs --tls-certificate and --tls-private-key']);
    return transport === 'h2' ? listenHttp2 : listenGrpcJs;
  }
  if (certificate === undefined || privateKey === undefined) {
    throw new SettingsError(['--tls-certificate and --tls-private-key go together: give both, or none']);
  }
  if (transport !== 'h2') throw new SettingsError(['TLS is offered by the transport h2 alone: leave --transport out']);
  const authorities = tlsClientCa === undefined ? {} : { clientAuthorities: tlsClientCa };
  return http2Listener({ tls: await TlsIdentity.load({ certificate, privateKey, ...authorities }) });
}
