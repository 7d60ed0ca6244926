/** Which transport speaks gRPC, and whether over TLS. */

import type { Listen } from './accept/call.ts';
import { http2Listener } from './accept/grpc/http2-transport.ts';
import { loadTls } from './accept/grpc/tls.ts';
import { listenGrpcJs } from './accept/grpc-js-transport.ts';
import { type Http2SettingName, http2Limits } from './ops/limit-settings.ts';
import type { Settings } from './ops/settings.ts';
import { SettingsError } from './ops/settings-error.ts';

export type TransportSettings = Pick<
  Settings,
  'transport' | 'controlPrincipals' | 'tlsCertificate' | 'tlsPrivateKey' | 'tlsClientCa' | Http2SettingName
>;

/** @throws SettingsError where settings do not go together, or an Error that names the file that is missing or wrong. */
export async function chooseTransport(settings: TransportSettings): Promise<Listen> {
  const { controlPrincipals } = settings;
  if (controlPrincipals.length > 0 && settings.tlsClientCa === undefined) {
    throw new SettingsError(['--control-principals needs --tls-client-ca: without it no client proves its identity']);
  }
  const { transport, tlsCertificate: certificate, tlsPrivateKey: privateKey, tlsClientCa } = settings;
  if (certificate === undefined && privateKey === undefined) {
    if (tlsClientCa !== undefined)
      throw new SettingsError(['--tls-client-ca needs --tls-certificate and --tls-private-key']);
    return transport === 'h2' ? http2Listener({ limits: http2Limits(settings) }) : listenGrpcJs;
  }
  if (certificate === undefined || privateKey === undefined) {
    throw new SettingsError(['--tls-certificate and --tls-private-key go together: give both, or none']);
  }
  if (transport !== 'h2') throw new SettingsError(['TLS needs the transport h2: remove --transport']);
  const authorities = tlsClientCa === undefined ? {} : { clientAuthorities: tlsClientCa };
  const tls = await loadTls({ certificate, privateKey, ...authorities });
  return http2Listener({ tls, limits: http2Limits(settings) });
}
