/** The RPCs that the gateway offers, and the class that each of them belongs to. */

import fs from 'node:fs';
import { loadSync } from '@grpc/proto-loader';
import { ADMIN_RPCS } from '../../src/gateway/accept/control-service.ts';
import { INFERENCE_SERVICE } from '../../src/gateway/accept/inference-service.ts';
import { reflectionRoutes } from '../../src/gateway/accept/reflection-service.ts';
import { PROTO_DIRECTORY } from '../../src/protocol-files.ts';

export interface Rpc {
  /** Such as `/inference.GRPCInferenceService/ModelInfer`. */
  readonly path: string;
  /** Whether the client, the server, or both stream. */
  readonly streaming: boolean;
}

/** Who may call: see `components/istio-policy/authorizationpolicy.yaml`. */
export const CLASSES = ['infer', 'metadata', 'control'] as const;
export type RpcClass = (typeof CLASSES)[number];

export const MODEL_INFER = `/${INFERENCE_SERVICE}/ModelInfer`;
export const MODEL_STREAM_INFER = `/${INFERENCE_SERVICE}/ModelStreamInfer`;

/** Those that answer with the model's outputs. */
export const INFER_PATHS: readonly string[] = [MODEL_INFER, MODEL_STREAM_INFER];
/** Those that the gateway itself keeps for its admin port: no policy may call them anything else than control. */
export const ADMIN_PATHS: readonly string[] = [...ADMIN_RPCS].map((name) => `/${INFERENCE_SERVICE}/${name}`);

const STREAMING: ReadonlyMap<string, boolean> = new Map(
  fs
    .readdirSync(PROTO_DIRECTORY)
    .filter((name) => name.endsWith('.proto'))
    .flatMap((name) => Object.values(loadSync(name, { includeDirs: [PROTO_DIRECTORY] })))
    .flatMap((definition) => ('format' in definition ? [] : Object.values(definition)))
    .map((method) => [method.path, method.requestStream || method.responseStream]),
);

/** The RPCs of every service in `proto/`, and of the older reflection, which has the messages of the newer one. */
export const RPCS: readonly Rpc[] = Array.from(
  new Set([...STREAMING.keys(), ...reflectionRoutes().keys()]),
  (path) => ({ path, streaming: STREAMING.get(path) ?? true }),
);
