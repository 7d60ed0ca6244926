import type { CallTarget, TargetAddress, TargetModel } from './call-target.ts';
import { GrpcTarget } from './grpc-target.ts';
import { RestTarget } from './rest-target.ts';
import type { BenchResult } from './result.ts';

export type BenchProtocol = BenchResult['protocol'];

export function openTarget(protocol: BenchProtocol, address: TargetAddress, model: TargetModel): CallTarget {
  if (protocol === 'grpc') return new GrpcTarget(address, model);
  return new RestTarget(address, model, protocol === 'rest' ? 'json' : 'binary');
}
