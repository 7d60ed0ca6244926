/**
 * Which values the tensors of a model take on real inputs: what static quantization needs to know.
 *
 * The model runs with the least and the greatest element of every float32 tensor among its outputs, computed beside the
 * tensor itself: two numbers leave the process for each, however large the tensors are.
 */

import { create } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  ValueInfoProtoSchema,
} from '../onnx/onnx_pb.ts';
import { CompressError } from './compress-error.ts';
import { type Feeds, openModel, type RunnerOptions, runModel } from './model-run.ts';
import { integer } from './onnx/attribute.ts';
import { Graph } from './onnx/graph.ts';
import { changed } from './onnx/message.ts';
import type { OnnxModel } from './onnx/model-file.ts';

/** The least and the greatest value that a tensor was seen to take. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

export interface TensorRange extends Range {
  readonly rank: number;
}

/** By tensor: of all float32 tensors of a graph, its inputs among them. */
export type Ranges = ReadonlyMap<string, TensorRange>;

/**
 * Runs `model` on all `rows`.
 * @param rows values for all inputs, as many rows at once as the caller likes. Each is run before the next is asked for.
 * @returns the observed ranges. Tensors that were not finite, or always empty, are left out.
 * @throws CompressError (`calibration`) where there are no rows or they do not fit the model; (`runner`) where it does not run.
 */
export async function calibrate(
  model: OnnxModel,
  rows: AsyncIterable<Feeds> | Iterable<Feeds>,
  options: RunnerOptions,
): Promise<Ranges> {
  const { probe, outputs } = probeOf(model, await floatTensors(model, options));
  const seen = new Map<string, { low: number; high: number; rank: number }>();
  let runs = 0;
  const session = await openModel(probe, options);
  try {
    for await (const feeds of rows) {
      const answer = await runModel(session, feeds);
      runs++;
      for (const [tensor, { low, high, sum, shape }] of outputs) {
        const rank = answer.get(shape)?.shape[0] ?? 0;
        const range = seen.get(tensor) ?? { low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY, rank };
        const isSound = Number.isFinite(scalar(answer, sum));
        // NaN stays, once it was there.
        range.low = Math.min(range.low, isSound ? scalar(answer, low) : Number.NaN);
        range.high = Math.max(range.high, isSound ? scalar(answer, high) : Number.NaN);
        seen.set(tensor, range);
      }
    }
  } finally {
    await session[Symbol.asyncDispose]();
  }
  if (runs === 0) throw new CompressError('calibration', 'there are no rows to calibrate with');
  return new Map([...seen].filter(([, { low, high }]) => Number.isFinite(low) && Number.isFinite(high)));
}

/** Operators whose results may be no tensors, which cannot be asked for. */
const NO_TENSORS = /^(If|Loop|Scan|Sequence.*|SplitToSequence|Optional.*)$/;

/** The float32 tensors of the main graph, as ONNX Runtime infers their types. */
async function floatTensors(model: OnnxModel, options: RunnerOptions): Promise<string[]> {
  const { nodes, outputs, inputs } = new Graph(model);
  const inner = nodes
    .filter(({ opType }) => !NO_TENSORS.test(opType))
    .flatMap(({ output }) => output)
    .filter((name) => name !== '' && !outputs.has(name));
  const output = [...(model.graph?.output ?? []), ...inner.map((name) => create(ValueInfoProtoSchema, { name }))];
  const graph = changed(GraphProtoSchema, graphOf(model), { output });
  const open = changed(ModelProtoSchema, model, { graph });
  const session = await openModel(open, { ...options, graphOptimizationLevel: 'disabled' });
  await session[Symbol.asyncDispose]();
  const wanted = new Set([...inputs, ...inner, ...outputs]);
  return [...session.info.inputs, ...session.info.outputs]
    .filter(({ name, datatype }) => datatype === 'FP32' && wanted.has(name))
    .map(({ name }) => name);
}

interface ProbeOutputs {
  readonly low: string;
  readonly high: string;
  /** FP32: ONNX Runtime's least and greatest pass over NaN, its sum does not. */
  readonly sum: string;
  /** INT64, as many elements as the tensor has axes. */
  readonly shape: string;
}

/** The model with the ranges of `tensors` as its only outputs, and their names. */
function probeOf(
  model: OnnxModel,
  tensors: readonly string[],
): { probe: OnnxModel; outputs: Map<string, ProbeOutputs> } {
  const graph = new Graph(model);
  const outputs = new Map<string, ProbeOutputs>();
  const added: NodeProto[] = [];
  const add = (opType: string, tensor: string, attributes: readonly AttributeProto[]): string => {
    const name = graph.addNode(opType, graph.freshName(`${tensor}.${opType}`), [tensor], { attributes });
    added.push(...graph.nodes.splice(-1));
    return name;
  };
  const toScalar = [integer('keepdims', 0)];
  for (const tensor of tensors) {
    outputs.set(tensor, {
      low: add('ReduceMin', tensor, toScalar),
      high: add('ReduceMax', tensor, toScalar),
      sum: add('ReduceSum', tensor, toScalar),
      shape: add('Shape', tensor, []),
    });
  }
  const output = [...outputs.values()].flatMap(({ low, high, sum, shape }) =>
    [low, high, sum, shape].map((name) => create(ValueInfoProtoSchema, { name })),
  );
  const source = graphOf(model);
  const node = [...source.node, ...added];
  return {
    probe: changed(ModelProtoSchema, model, { graph: changed(GraphProtoSchema, source, { node, output }) }),
    outputs,
  };
}

function graphOf({ graph }: OnnxModel): NonNullable<OnnxModel['graph']> {
  if (graph === undefined) throw new CompressError('model', 'the model has no graph');
  return graph;
}

function scalar(answer: Feeds, name: string): number {
  const data = answer.get(name)?.data;
  if (data === undefined) return Number.NaN;
  return new DataView(data.buffer, data.byteOffset, data.byteLength).getFloat32(0, true);
}
