/** The rules between settings: each value is legal by itself, but they contradict each other. */

import type { Http2SettingName } from './limit-setting-name.ts';
import { HTTP2_LIMIT_SETTINGS } from './limit-settings.ts';
import type { Settings } from './settings.ts';
import type { GivenSettings } from './settings-sources.ts';

/** A contradiction, and the setting whose source is to blame. */
interface Contradiction {
  readonly key: keyof Settings;
  readonly text: string;
}

type Rule = (settings: Settings, given: GivenSettings) => readonly Contradiction[];

/** In the order in which problems are reported. */
const RULES: readonly Rule[] = [
  explicitOnly,
  http2Only,
  acceptorsOfHttp2,
  recordedRows,
  provenPrincipals,
  wholeTls,
  tlsOverHttp2,
  unguardedRest,
  connectionsForProbes,
];

/** The problems of settings that contradict each other, each with the source of the setting; empty where there are none. */
export function contradictions(settings: Settings, given: GivenSettings): readonly string[] {
  const found = RULES.flatMap((rule) => rule(settings, given));
  return found.map(({ key, text }) => `${given.get(key)?.origin}: ${text}`);
}

function explicitOnly({ modelControlMode, loadModel, loadOnDemand }: Settings): readonly Contradiction[] {
  if (modelControlMode === 'explicit') return [];
  const keys: (keyof Settings)[] = [];
  if (loadModel.length > 0) keys.push('loadModel');
  if (loadOnDemand) keys.push('loadOnDemand');
  return keys.map((key) => ({ key, text: `${key} is for modelControlMode explicit, not ${modelControlMode}` }));
}

function http2Only({ transport }: Settings, given: GivenSettings): readonly Contradiction[] {
  if (transport === 'h2') return [];
  const keys = (Object.keys(HTTP2_LIMIT_SETTINGS) as Http2SettingName[]).filter((key) => given.has(key));
  return keys.map((key) => ({ key, text: `${key} is for the transport h2` }));
}

function acceptorsOfHttp2({ transport, acceptors }: Settings): readonly Contradiction[] {
  if (transport === 'h2' || acceptors === 1) return [];
  return [{ key: 'acceptors', text: `acceptors ${acceptors} needs the transport h2: remove --transport, or give 1` }];
}

function recordedRows({ record, recordDirectory }: Settings): readonly Contradiction[] {
  if (record > 0 && recordDirectory === undefined) {
    return [{ key: 'record', text: 'record needs recordDirectory: say where rows are kept' }];
  }
  if (record === 0 && recordDirectory !== undefined) {
    return [{ key: 'recordDirectory', text: 'recordDirectory is for record above 0: say how many rows are kept' }];
  }
  return [];
}

function provenPrincipals({ controlPrincipals, tlsClientCa }: Settings): readonly Contradiction[] {
  if (controlPrincipals.length === 0 || tlsClientCa !== undefined) return [];
  const text = '--control-principals needs --tls-client-ca: without it no client proves its identity';
  return [{ key: 'controlPrincipals', text }];
}

function wholeTls({ tlsCertificate, tlsPrivateKey, tlsClientCa }: Settings): readonly Contradiction[] {
  if (tlsCertificate === undefined && tlsPrivateKey === undefined) {
    if (tlsClientCa === undefined) return [];
    return [{ key: 'tlsClientCa', text: '--tls-client-ca needs --tls-certificate and --tls-private-key' }];
  }
  if (tlsCertificate !== undefined && tlsPrivateKey !== undefined) return [];
  const text = '--tls-certificate and --tls-private-key go together: give both, or none';
  return [{ key: tlsCertificate === undefined ? 'tlsPrivateKey' : 'tlsCertificate', text }];
}

function tlsOverHttp2({ transport, tlsCertificate, tlsPrivateKey }: Settings): readonly Contradiction[] {
  if (transport === 'h2' || (tlsCertificate === undefined && tlsPrivateKey === undefined)) return [];
  return [{ key: 'transport', text: 'TLS needs the transport h2: remove --transport' }];
}

/**
 * gRPC that demands client certificates, beside REST that answers anyone in cleartext, must be a decision: the default of
 * `rest` is none. Loopback is no exception, because other users of the machine and other containers of the pod reach it.
 */
function unguardedRest(settings: Settings, given: GivenSettings): readonly Contradiction[] {
  const { rest, tlsCertificate, tlsClientCa } = settings;
  if (rest === 'off' || given.has('rest') || tlsCertificate === undefined || tlsClientCa === undefined) return [];
  const text =
    'gRPC demands client certificates, but REST on the HTTP port would answer anyone in cleartext: give --rest off, or --rest on if the network guards that port';
  return [{ key: 'tlsClientCa', text }];
}

function connectionsForProbes(settings: Settings, given: GivenSettings): readonly Contradiction[] {
  const { httpMaxRequests: requests, httpMaxConnections: connections } = settings;
  if (requests < connections) return [];
  const text = `httpMaxRequests ${requests} must be below httpMaxConnections ${connections}: probes and metrics get the rest`;
  return [{ key: given.has('httpMaxRequests') ? 'httpMaxRequests' : 'httpMaxConnections', text }];
}
