import onnxProto, { type onnx } from 'onnx-proto';

const { AttributeProto, NodeProto, TensorProto } = onnxProto.onnx;

/** A node with one output, which has the name of the node. */
export interface Layer {
  readonly kind: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly attributes: readonly onnx.IAttributeProto[];
}

/** The nodes of a model in their order, without the Casts of weights that are stored as float16. */
export function readLayers(model: onnx.ModelProto): Layer[] {
  const layers = (model.graph?.node ?? []).map(({ opType, input, output, attribute }) => ({
    kind: opType ?? '',
    name: output?.[0] ?? '',
    inputs: input ?? [],
    attributes: attribute ?? [],
  }));
  return layers.filter(({ kind }) => kind !== 'Cast');
}

/** The constants of a model. */
export class Constants {
  readonly #tensors: ReadonlyMap<string, onnx.ITensorProto>;

  constructor(model: onnx.ModelProto) {
    const tensors = new Map((model.graph?.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
    // A weight that is stored as float16 is known by the name that its Cast gives it.
    for (const { opType, input, output } of model.graph?.node ?? []) {
      const stored = tensors.get(input?.[0] ?? '');
      if (opType === 'Cast' && stored !== undefined) tensors.set(output?.[0] ?? '', stored);
    }
    this.#tensors = tensors;
  }

  tensor(name: string | undefined): onnx.ITensorProto {
    const tensor = this.#tensors.get(name ?? '');
    if (tensor === undefined) throw new Error(`the model has no constant '${name}'`);
    return tensor;
  }

  shape(name: string | undefined): number[] {
    return (this.tensor(name).dims ?? []).map(Number);
  }

  floats(name: string | undefined): Float32Array {
    const { dataType, rawData } = this.tensor(name);
    const { buffer } = Uint8Array.from(rawData ?? []);
    if (dataType === TensorProto.DataType.FLOAT) return new Float32Array(buffer);
    if (dataType === TensorProto.DataType.FLOAT16) return new Float32Array(new Float16Array(buffer));
    throw new Error(`constant '${name}' is neither float32 nor float16`);
  }
}

type NumberArray = Float32Array | Int32Array | Int8Array | Uint8Array;

function dataTypeOf(values: NumberArray): number {
  if (values instanceof Float32Array) return TensorProto.DataType.FLOAT;
  if (values instanceof Int32Array) return TensorProto.DataType.INT32;
  return values instanceof Int8Array ? TensorProto.DataType.INT8 : TensorProto.DataType.UINT8;
}

/** A graph under construction. Nodes must be added in topological order. */
export class GraphWriter {
  readonly nodes: onnx.INodeProto[] = [];
  readonly constants: onnx.ITensorProto[] = [];

  /** @returns `name`, which is also the name of the node's output. */
  node(kind: string, name: string, inputs: string[], attributes: readonly onnx.IAttributeProto[] = []): string {
    this.nodes.push(
      NodeProto.create({ opType: kind, name, input: inputs, output: [name], attribute: [...attributes] }),
    );
    return name;
  }

  /** @returns `name` */
  constant(name: string, values: NumberArray, shape: number[]): string {
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.constants.push(TensorProto.create({ name, dataType: dataTypeOf(values), dims: shape, rawData }));
    return name;
  }
}

/** The attribute `axis` of a node. */
export function axisAttribute(axis: number): onnx.IAttributeProto {
  return AttributeProto.create({ name: 'axis', type: AttributeProto.AttributeType.INT, i: axis });
}
