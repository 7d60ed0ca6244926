/** Models that the benchmarks make themselves: an identity, and the CIFAR-10 architecture with random weights. */

import fs from 'node:fs';
import path from 'node:path';
import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
const { FLOAT } = onnx.TensorProto.DataType;

type Attributes = Readonly<Record<string, number | readonly number[]>>;

/** `x` FP32 [batch, columns] -> `y`, unchanged: what a call costs when the model costs nothing. */
export function writeIdentity(repository: string, name: string, columns: number): void {
  write(repository, name, {
    node: [node('Identity', ['x'], ['y'])],
    input: [value('x', ['batch', columns])],
    output: [value('y', ['batch', columns])],
  });
}

/** conv 3->64, conv 64->128, each 3x3 with ReLU and 2x2 max pooling, then 8192->512->10; FP32 [batch,3,32,32] in, 17 MB of weights. */
export function writeCifarCnn(repository: string, name: string): string {
  const random = seeded(1);
  const weights = (label: string, dims: readonly number[]): onnxProto.onnx.ITensorProto => {
    const fanIn = dims.slice(1).reduce((product, size) => product * size, 1);
    const values = Float32Array.from(
      { length: dims.reduce((a, b) => a * b, 1) },
      () => (random() - 0.5) / Math.sqrt(fanIn),
    );
    return { name: label, dataType: FLOAT, dims: [...dims], rawData: new Uint8Array(values.buffer) };
  };
  const pooled = { kernel_shape: [2, 2], strides: [2, 2] };
  const padded = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
  return write(repository, name, {
    initializer: [
      weights('w1', [64, 3, 3, 3]),
      weights('b1', [64]),
      weights('w2', [128, 64, 3, 3]),
      weights('b2', [128]),
      weights('w3', [512, 8192]),
      weights('b3', [512]),
      weights('w4', [10, 512]),
      weights('b4', [10]),
    ],
    node: [
      node('Conv', ['image', 'w1', 'b1'], ['c1'], padded),
      node('Relu', ['c1'], ['r1']),
      node('MaxPool', ['r1'], ['p1'], pooled),
      node('Conv', ['p1', 'w2', 'b2'], ['c2'], padded),
      node('Relu', ['c2'], ['r2']),
      node('MaxPool', ['r2'], ['p2'], pooled),
      node('Flatten', ['p2'], ['f'], { axis: 1 }),
      node('Gemm', ['f', 'w3', 'b3'], ['h'], { transB: 1 }),
      node('Relu', ['h'], ['r3']),
      node('Gemm', ['r3', 'w4', 'b4'], ['logits'], { transB: 1 }),
      node('Softmax', ['logits'], ['probabilities'], { axis: 1 }),
    ],
    input: [value('image', ['batch', 3, 32, 32])],
    output: [value('probabilities', ['batch', 10])],
  });
}

function write(repository: string, name: string, graph: onnxProto.onnx.IGraphProto): string {
  const file = path.join(repository, name, '1', 'model.onnx');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const model = { irVersion: 8, opsetImport: [{ domain: '', version: 17 }], graph: { name, ...graph } };
  fs.writeFileSync(file, onnx.ModelProto.encode(onnx.ModelProto.fromObject(model)).finish());
  return file;
}

function node(
  opType: string,
  input: string[],
  output: string[],
  attributes: Attributes = {},
): onnxProto.onnx.INodeProto {
  const { INT, INTS } = onnx.AttributeProto.AttributeType;
  const attribute = Object.entries(attributes).map(([name, setting]) =>
    typeof setting === 'number' ? { name, type: INT, i: setting } : { name, type: INTS, ints: [...setting] },
  );
  return { opType, input, output, attribute };
}

function value(name: string, shape: readonly (string | number)[]): onnxProto.onnx.IValueInfoProto {
  const dim = shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size }));
  return { name, type: { tensorType: { elemType: FLOAT, shape: { dim } } } };
}

/** A multiplicative congruential generator: the same weights in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state / 0x7fff_ffff;
  };
}
