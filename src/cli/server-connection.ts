import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { InferenceClient, InferenceError } from '../client/inference-client.ts';
import { messageOf } from '../error-message.ts';
import { CliError } from './cli-error.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { nearestModels } from './nearest-models.ts';
import { parseServerAddress, type ServerAddress } from './server-address.ts';
import { findConnectionFault, type TlsFiles } from './server-probe.ts';

/**
 * Runs `work` with a client.
 * @throws CliError for whatever the server refuses, and where there is no gRPC server
 */
export async function withClient<Result>(
  options: ConnectionOptions,
  work: (client: InferenceClient) => Promise<Result>,
): Promise<Result> {
  const tls = await readTlsFiles(options);
  const address = parseServerAddress(options.url, tls !== undefined);
  // grpc-js names IP addresses in the TLS handshake, which Node warns of. Users can do nothing about it.
  if (address.isSecure && isIP(address.host) !== 0) process.noDeprecation = true;
  using client = new InferenceClient(address.target, {
    deadlineMs: options.deadlineMs,
    metadata: options.header,
    ...(address.isSecure && { tls: tls ?? {} }),
  });
  try {
    return await work(client);
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    throw new CliError((await explainFailure(error, client, address, tls)) ?? describeRefusal(error), { cause: error });
  }
}

/** The statuses that gRPC gives a call that reached no gRPC server. */
const UNREACHED: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL', 'UNKNOWN']);

/** Says more than the status does; `undefined` where the status says it all. */
async function explainFailure(
  error: InferenceError,
  client: InferenceClient,
  address: ServerAddress,
  tls: TlsFiles | undefined,
): Promise<string | undefined> {
  if (error.status === 'NOT_FOUND' && error.model !== undefined) {
    return `${describeRefusal(error)}${await nearestModels(client, error.model)}`;
  }
  const remedy = remedyFor(error);
  if (remedy !== undefined) return `${describeRefusal(error)}: ${remedy}`;
  const http = /^Received HTTP status code (\d+)/.exec(error.details)?.[1];
  if (http !== undefined)
    return `${address.target} answers over HTTP/2, but not with gRPC (HTTP status ${http}): give the gRPC port`;
  return UNREACHED.has(error.status) ? findConnectionFault(address, tls) : undefined;
}

/** Remedy for a call that the server does not let this client make; `undefined` for any other failure. */
function remedyFor({ status, details }: InferenceError): string | undefined {
  if (status === 'UNAUTHENTICATED') return "give a token, as in --header 'authorization: Bearer TOKEN'";
  if (status === 'PERMISSION_DENIED') {
    return details.includes('controlPrincipals')
      ? 'give a client certificate that the server lists in controlPrincipals, with --tls-cert and --tls-key'
      : 'a policy of the server, or of the mesh before it, denies this call to you';
  }
  if (status !== 'UNIMPLEMENTED') return undefined;
  if (details.includes('only on the admin port')) return 'give that port with --url (serve --admin-port)';
  return 'this server, or this port of it, does not offer the call';
}

/**
 * Reads the files of the TLS options; `undefined` where no option asks for TLS.
 * @throws CliError
 */
export async function readTlsFiles({ tlsCa, tlsCert, tlsKey }: ConnectionOptions): Promise<TlsFiles | undefined> {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return undefined;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new CliError('--tls-cert and --tls-key belong together: give both, or neither');
  }
  const [ca, cert, key] = await Promise.all([
    readPem('--tls-ca', tlsCa),
    readPem('--tls-cert', tlsCert),
    readPem('--tls-key', tlsKey),
  ]);
  return { ca, cert, key };
}

async function readPem(flag: string, file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  const pem = await readFile(file).catch((error: unknown) => {
    throw new CliError(`${flag}: cannot read '${file}': ${messageOf(error)}`, { cause: error });
  });
  if (!pem.includes('-----BEGIN '))
    throw new CliError(`${flag}: '${file}' is not a PEM file: it has no -----BEGIN line`);
  return pem;
}

/** Text of the server, such as `Request for unknown model: 'x' is not found (NOT_FOUND)`. */
export function describeRefusal(error: InferenceError): string {
  return `${error.details} (${error.status})`;
}
