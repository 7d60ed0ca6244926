/** `xds.data.orca.v3.OrcaLoadReport`: the utilization of a server, for clients that balance calls over replicas. */

import { ProtobufWriter } from './protobuf-writer.ts';

/** The fields that the gateway fills; the message has more. */
export interface LoadReport {
  /** Share of what can be worked on at once that is taken; above 1 where more waits. */
  readonly applicationUtilization: number;
  /** Requests a second. */
  readonly rpsFractional: number;
  /** Requests per second that failed by a fault of the server. */
  readonly eps: number;
}

const RPS_FRACTIONAL = 6;
const EPS = 7;
const APPLICATION_UTILIZATION = 9;

/** The message: at most 27 bytes. Zeros are left out, as proto3 has it. */
export function encodeLoadReport({ applicationUtilization, rpsFractional, eps }: LoadReport): Uint8Array {
  const writer = new ProtobufWriter();
  if (rpsFractional !== 0) writer.double(RPS_FRACTIONAL, rpsFractional);
  if (eps !== 0) writer.double(EPS, eps);
  if (applicationUtilization !== 0) writer.double(APPLICATION_UTILIZATION, applicationUtilization);
  return Buffer.concat(writer.finish());
}
