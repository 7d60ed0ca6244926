/**
 * The text that `tensorgate serve` prints when its models are loaded: how each is served or why it is not, a request to try, and the
 * addresses. `tensorgate ready: …` is the last line exactly if `/readyz` answers 200.
 */

import type { ModelSummary, Server } from '../gateway/main.ts';
import type { Settings } from '../gateway/ops/settings.ts';
import { partOf } from '../gateway/repository/part-name.ts';
import { grpcurlCommand, inferCommand, type SampleRequest, sampleSize } from './sample-commands.ts';
import { isSidePart } from './side-part.ts';
import { toOneLine } from './terminal-text.ts';

/** Prints the report now, and again when a server that is not ready becomes so. */
export function reportStart(server: Server, settings: Pick<Settings, 'tlsCertificate'>): void {
  const isReady = server.readiness.obstacles.length === 0;
  process.stdout.write(describeServer(server, settings));
  if (!isReady) void server.readiness.first.then(() => process.stdout.write(describeServer(server, settings)));
}

function describeServer(server: Server, { tlsCertificate }: Pick<Settings, 'tlsCertificate'>): string {
  const { host, grpcPort, httpPort, adminPort, readiness } = server;
  // A detokenizer that is ready is no news, and no model to try first.
  const models = server.models().filter(({ name, state }) => state !== 'READY' || !isSidePart(name));
  const { obstacles } = readiness;
  // The lines of the models say what is wrong with them.
  const reasons = models.length === 0 ? obstacles.map((reason) => `not ready: ${toOneLine(reason)}`) : [];
  const ports = { grpc: grpcPort, http: httpPort, ...(adminPort !== undefined && { admin: adminPort }) };
  const addresses = Object.entries(ports).map(([name, port]) => `${name} ${formatAddress(host, port)}`);
  const state = obstacles.length === 0 ? 'ready' : 'not ready';
  const lines = [
    ...models.map(describeModel),
    ...reasons,
    // The commands speak cleartext.
    ...(tlsCertificate === undefined ? describeSample(models, formatAddress(reachable(host), grpcPort)) : []),
    `tensorgate ${state}: ${addresses.join(', ')}`,
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function describeModel({ name, version, state, detail }: ModelSummary): string {
  const subject = version === '' ? name : `${name} version ${version}`;
  return toOneLine(state === 'READY' ? `${subject}: ${detail}` : `${subject}: ${state}: ${detail}`);
}

/** For the model with the shortest request, and not for a part of one; nothing where no request is known. */
function describeSample(models: readonly ModelSummary[], address: string): string[] {
  const served = models.filter((model) => model.default);
  const names = new Set(served.map(({ name }) => name));
  const requests = served.flatMap(({ name, sample }): SampleRequest[] => {
    const { folder, part } = partOf(name);
    return sample === undefined || (part !== '' && names.has(folder)) ? [] : [{ model: name, inputs: sample }];
  });
  const [request] = requests.sort((a, b) => sampleSize(a) - sampleSize(b));
  if (request === undefined) return [];
  const grpcurl = grpcurlCommand(request, address);
  return [`try: ${inferCommand(request, address)}`, ...(grpcurl === undefined ? [] : [`or:  ${grpcurl}`])];
}

/** An address of this machine where the server listens on all of them. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
