/**
 * Static int8 quantization of the example network: half the bytes of float16, and more than twice the speed.
 *
 *   node quantize.ts MODEL RECORDS OUTPUT
 *
 * MODEL is the export of train.py. RECORDS are training images; the ranges of the activations are measured on 512 of
 * them. OUTPUT holds pairs of QuantizeLinear and DequantizeLinear, which ONNX Runtime fuses into the layers at
 * load, so that everything from the pixels to the logits is computed in integers. All scales are constants: the answer
 * to an image does not depend on the other images of its batch, as it would under dynamic quantization.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import onnxProto, { type onnx } from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { axisAttribute, Constants, GraphWriter, type Layer, readLayers } from './onnx-graph.ts';
import { batches, Records } from './records.ts';

const { ModelProto, TensorProto, ValueInfoProto } = onnxProto.onnx;

const CALIBRATION_IMAGES = 512;
/**
 * Weights have 7 bits: on x86 processors without VNNI, ONNX Runtime adds two products of uint8 and int8 into 16 bits, and
 * 255 * (64 + 64) is the most that fits. With 8 bits this network loses 14 points of its accuracy there.
 */
const MOST_WEIGHT = 64;

/**
 * Runs `model` on images from all over `records`.
 * @returns the largest value that each ReLU gave, by the ReLU's name.
 */
export async function calibrate(model: onnx.ModelProto, records: Records): Promise<Map<string, number>> {
  const names = readLayers(model)
    .filter(({ kind }) => kind === 'Relu')
    .map(({ name }) => name);
  const peaks = new Map(names.map((name) => [name, 0]));
  const session = await InferenceSession.create(ModelProto.encode(exposing(model, names)).finish());
  const count = Math.min(CALIBRATION_IMAGES, records.count);
  const chosen = Array.from({ length: count }, (_, i) => Math.floor((i * records.count) / count));
  for (const batch of batches(chosen, 32)) {
    const image = new Tensor('uint8', records.pixels(batch), [batch.length, 3, 32, 32]);
    for (const [name, { data }] of Object.entries(await session.run({ image }, names))) {
      let peak = peaks.get(name) ?? 0;
      for (const value of data as Float32Array) peak = Math.max(peak, value);
      peaks.set(name, peak);
    }
  }
  return peaks;
}

/** `model` with the tensors `names` among its outputs. */
function exposing(model: onnx.ModelProto, names: readonly string[]): onnx.ModelProto {
  const type = { tensorType: { elemType: TensorProto.DataType.FLOAT } };
  const output = [...(model.graph?.output ?? []), ...names.map((name) => ValueInfoProto.create({ name, type }))];
  return ModelProto.create({ ...model, graph: { ...model.graph, output } });
}

/** real = scale * (integer - zero): both by the names of their constants, and the scale as a number. */
interface Quantization {
  readonly scaleName: string;
  readonly zeroName: string;
  readonly scale: number;
}

/** The tensor that goes from one layer to the next. */
interface Flow {
  readonly tensor: string;
  /** `undefined` between a layer with weights and its ReLU, and from the logits on. */
  readonly quantization: Quantization | undefined;
}

/**
 * Rewrites the chain of layers that export.py makes.
 * @param peaks as from `calibrate`.
 */
export function quantize(model: onnx.ModelProto, peaks: ReadonlyMap<string, number>): onnx.ModelProto {
  const constants = new Constants(model);
  const graph = new GraphWriter();
  let flow: Flow = { tensor: 'image', quantization: undefined };
  for (const layer of readLayers(model)) {
    switch (layer.kind) {
      case 'DequantizeLinear':
        flow = addPixels(graph, layer, constants);
        break;
      case 'Conv':
      case 'Gemm':
        flow = addWeighted(graph, layer, flow, constants);
        break;
      case 'Relu': {
        // The pair stands behind the ReLU, which so becomes a part of the integer kernel before it.
        const scale = scaleOf(peaks.get(layer.name) ?? 0, 255);
        const scaleName = graph.constant(`${layer.name}.scale`, Float32Array.of(scale), []);
        const zeroName = graph.constant(`${layer.name}.zero`, Uint8Array.of(0), []);
        flow = addPair(graph, addLayer(graph, layer, flow), { scaleName, zeroName, scale });
        break;
      }
      case 'MaxPool':
      case 'Flatten':
        // They choose and reorder values: with the scale unchanged they do so with the integers.
        flow = addPair(graph, addLayer(graph, layer, flow), quantizationOf(flow, layer));
        break;
      case 'Softmax':
        flow = { tensor: addLayer(graph, layer, flow), quantization: undefined };
        break;
      default:
        throw new Error(`'${layer.name}' is a ${layer.kind}, which the network of this example does not have`);
    }
  }
  return ModelProto.create({ ...model, graph: { ...model.graph, node: graph.nodes, initializer: graph.constants } });
}

/** The pixels come quantized: their scale serves the first convolution. */
function addPixels(graph: GraphWriter, { kind, name, inputs }: Layer, constants: Constants): Flow {
  const [image = '', scaleName = '', zeroName = ''] = inputs;
  graph.constants.push(constants.tensor(scaleName), constants.tensor(zeroName));
  const [scale = Number.NaN] = constants.floats(scaleName);
  return { tensor: graph.node(kind, name, [image, scaleName, zeroName]), quantization: { scaleName, zeroName, scale } };
}

function addWeighted(graph: GraphWriter, layer: Layer, flow: Flow, constants: Constants): Flow {
  const [, weightName = '', biasName = ''] = layer.inputs;
  const shape = constants.shape(weightName);
  // The axis of the output channels: Conv has [out,in,height,width], Gemm [in,out].
  const axis = layer.kind === 'Conv' ? 0 : 1;
  const { integers, scales } = quantizeChannels(constants.floats(weightName), shape, axis);
  const weight = graph.node(
    'DequantizeLinear',
    weightName,
    [
      graph.constant(`${weightName}.int8`, integers, shape),
      graph.constant(`${weightName}.scale`, scales, [scales.length]),
      // Although 0 is the default: ONNX Runtime 1.30 fuses a Gemm only where the zero points are written out.
      graph.constant(`${weightName}.zero`, new Int8Array(scales.length), [scales.length]),
    ],
    [axisAttribute(axis)],
  );
  // A bias is added to sums of pixel times weight, so its scale is the product of theirs.
  const { scale } = quantizationOf(flow, layer);
  const biasScales = scales.map((weightScale) => weightScale * scale);
  const biases = Int32Array.from(constants.floats(biasName), (value, i) => Math.round(value / (biasScales[i] ?? 1)));
  const bias = graph.node(
    'DequantizeLinear',
    biasName,
    [
      graph.constant(`${biasName}.int32`, biases, [biases.length]),
      graph.constant(`${biasName}.scale`, biasScales, [biasScales.length]),
    ],
    [axisAttribute(0)],
  );
  const tensor = graph.node(layer.kind, layer.name, [flow.tensor, weight, bias], layer.attributes);
  return { tensor, quantization: undefined };
}

/** Symmetric int8 with a scale for each slice of `weight` along `axis`. */
function quantizeChannels(weight: Float32Array, shape: readonly number[], axis: number) {
  const channels = shape[axis] ?? 0;
  const stride = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const channelOf = (i: number): number => Math.floor(i / stride) % channels;
  const peaks = new Float32Array(channels);
  for (const [i, value] of weight.entries()) {
    peaks[channelOf(i)] = Math.max(peaks[channelOf(i)] ?? 0, Math.abs(value));
  }
  const scales = peaks.map((peak) => scaleOf(peak, MOST_WEIGHT));
  const integers = Int8Array.from(weight, (value, i) => Math.round(value / (scales[channelOf(i)] ?? 1)));
  return { integers, scales };
}

/** The scale under which `peak` becomes `integer`; a tensor that is always 0 needs some scale too. */
function scaleOf(peak: number, integer: number): number {
  return peak === 0 ? 1 : peak / integer;
}

/** A layer without weights, as it is. */
function addLayer(graph: GraphWriter, { kind, name, attributes }: Layer, { tensor }: Flow): string {
  return graph.node(kind, name, [tensor], attributes);
}

function addPair(graph: GraphWriter, tensor: string, quantization: Quantization): Flow {
  const { scaleName, zeroName } = quantization;
  const integers = graph.node('QuantizeLinear', `${tensor}.uint8`, [tensor, scaleName, zeroName]);
  const reals = graph.node('DequantizeLinear', `${tensor}.float`, [integers, scaleName, zeroName]);
  return { tensor: reals, quantization };
}

function quantizationOf({ tensor, quantization }: Flow, layer: Layer): Quantization {
  if (quantization === undefined) throw new Error(`'${layer.name}' takes '${tensor}', which is not quantized`);
  return quantization;
}

if (import.meta.main) {
  const [source, records, target] = parseArgs({ allowPositionals: true }).positionals;
  if (source === undefined || records === undefined || target === undefined) {
    throw new Error('usage: node quantize.ts MODEL RECORDS OUTPUT');
  }
  const model = ModelProto.decode(readFileSync(source));
  const peaks = await calibrate(model, Records.read(records));
  writeFileSync(target, ModelProto.encode(quantize(model, peaks)).finish());
}
