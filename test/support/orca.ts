/** ORCA as grpc-js itself knows it: its own messages, its reader of trailers, its client of the service. */

import { createRequire } from 'node:module';
import path from 'node:path';
import type { Channel, ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** An `OrcaLoadReport`, decoded. */
export interface ReadReport {
  readonly cpu_utilization: number;
  readonly rps_fractional: number;
  readonly eps: number;
  readonly application_utilization: number;
}

/** A client of `xds.service.orca.v3.OpenRcaService`. */
export interface OrcaClient {
  streamCoreMetrics(request: {
    readonly report_interval?: { readonly seconds: number; readonly nanos: number };
  }): ClientReadableStream<ReadReport>;
  close(): void;
}

/** The part of the library that it does not export yet: what its balancers use. */
interface Orca {
  createMetricsReader(
    listener: (report: ReadReport) => void,
    previous: null,
  ): (code: number, details: string, metadata: Metadata) => void;
  createOrcaClient(channel: Channel): OrcaClient;
}

const library = createRequire(import.meta.url)('@grpc/grpc-js/build/src/orca.js') as Orca;
const PROTO = path.join(import.meta.dirname, '../../node_modules/@grpc/grpc-js/proto');

const { 'xds.data.orca.v3.OrcaLoadReport': definition } = loadSync('xds/data/orca/v3/orca_load_report.proto', {
  includeDirs: [path.join(PROTO, 'xds'), path.join(PROTO, 'protoc-gen-validate')],
  keepCase: true,
  longs: String,
  defaults: true,
});

const message = definition as unknown as {
  readonly serialize: (report: object) => Buffer;
  readonly deserialize: (bytes: Buffer) => ReadReport;
};

/** The report in the definition of cncf/xds, through protobufjs. */
export function decodeReport(bytes: Uint8Array): ReadReport {
  return message.deserialize(Buffer.from(bytes));
}

export function encodeReport(report: Partial<ReadReport>): Buffer {
  return message.serialize(report);
}

/** What a balancer of grpc-js reads of the trailers of a call; `undefined` where they hold no report. */
export function reportIn(trailers: Metadata): ReadReport | undefined {
  let read: ReadReport | undefined;
  library.createMetricsReader((report) => {
    read = report;
  }, null)(0, '', trailers);
  return read;
}

export function orcaClient(channel: Channel): OrcaClient {
  return library.createOrcaClient(channel);
}
