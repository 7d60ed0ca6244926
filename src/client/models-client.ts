import type { Datatype, Shape } from '../wire/tensor.ts';
import type { CallOptions, ClientOptions, InferOptions } from './client-options.ts';
import { InferenceClient } from './infer-client.ts';
import type { Inputs, ParameterValue } from './inference-request.ts';
import type { InferenceResult, Timing } from './inference-result.ts';
import { type AnyTensor, type Elements, Tensor } from './tensor.ts';

/**
 * The value of an input: a tensor of its shape, or the elements where at most one axis is open, whose size then follows from them.
 * `number` in a shape is an open axis.
 */
export type InputOf<D extends Datatype, S extends Shape> = Tensor<D, S> | Elements[D];

/** The types of one model: `tensorgate client generate` writes them. */
export interface ModelTypes {
  readonly inputs: object;
  readonly outputs: object;
  /** Versions and their labels. */
  readonly version: string;
  /** By output: the names of its classes. */
  readonly labels: object;
}

/** Datatype and shape of an input or output; -1 is an open axis. */
export interface TensorForm {
  readonly datatype: Datatype;
  readonly shape: Shape;
}

/** The inputs and outputs of a model, by name. */
export interface ModelForm {
  readonly inputs: ReadonlyMap<string, TensorForm>;
  readonly outputs: ReadonlyMap<string, TensorForm>;
}

export interface TypedInferOptions<Model extends ModelTypes, Output extends keyof Model['outputs']>
  extends Omit<InferOptions, 'version' | 'outputs'> {
  readonly version?: Model['version'] | undefined;
  /** The outputs to answer with; without it, all. */
  readonly outputs?: readonly Output[] | undefined;
}

export interface TypedResult<Outputs> {
  readonly outputs: Outputs;
  /** The version that answered. */
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: ReadonlyMap<string, ParameterValue>;
  readonly timing: Timing | undefined;
}

export interface ClassifyOptions<Model extends ModelTypes> extends CallOptions {
  readonly version?: Model['version'] | undefined;
  /** Classes of each row, the likeliest first; 1 by default. */
  readonly top?: number | undefined;
}

/** A class of a row: the largest elements of an output, by Triton's classification extension. */
export interface Class<Label> {
  readonly label: Label;
  readonly index: number;
  readonly value: number;
}

/**
 * A client of certain models, whose names, inputs and outputs the compiler knows. `createModelsClient` of a generated file makes one.
 * Calls reject with InferenceError, and with TypeError where a value does not fit the model for which the file was generated.
 */
export class ModelsClient<Models extends { readonly [Name in keyof Models]: ModelTypes }> {
  /** For all other calls. */
  readonly client: InferenceClient;
  readonly #forms: ReadonlyMap<string, ModelForm>;

  constructor(address: string | readonly string[], options: ClientOptions, forms: ReadonlyMap<string, ModelForm>) {
    this.client = new InferenceClient(address, options);
    this.#forms = forms;
  }

  /** Runs `model` on `inputs`. */
  async infer<
    Name extends keyof Models & string,
    Output extends keyof Models[Name]['outputs'] & string = keyof Models[Name]['outputs'] & string,
  >(
    model: Name,
    inputs: Models[Name]['inputs'],
    options: TypedInferOptions<Models[Name], Output> = {},
  ): Promise<TypedResult<Pick<Models[Name]['outputs'], Output>>> {
    const form = this.#formOf(model);
    const result = await this.client.infer(model, toTensors(model, form, inputs), options);
    const names = options.outputs ?? [...form.outputs.keys()];
    const outputs = Object.fromEntries(names.map((name) => [name, outputOf(result, form, name)]));
    const { modelVersion, id, parameters, timing } = result;
    return { outputs: outputs as Pick<Models[Name]['outputs'], Output>, modelVersion, id, parameters, timing };
  }

  /** The likeliest classes of each row of `output`, with the names that the model gives them. */
  async classify<Name extends keyof Models & string, Output extends keyof Models[Name]['labels'] & string>(
    model: Name,
    output: Output,
    inputs: Models[Name]['inputs'],
    { top = 1, ...options }: ClassifyOptions<Models[Name]> = {},
  ): Promise<readonly (readonly Class<Models[Name]['labels'][Output]>[])[]> {
    const wanted = { [output]: { classification: top } };
    const tensors = toTensors(model, this.#formOf(model), inputs);
    const result = await this.client.infer(model, tensors, { ...options, outputs: wanted });
    const answer = result.output(output, 'BYTES');
    const classes = answer.strings().map((text) => toClass<Models[Name]['labels'][Output]>(text));
    const perRow = answer.shape.at(-1) ?? 1;
    return Array.from({ length: perRow === 0 ? 0 : classes.length / perRow }, (_, row) =>
      classes.slice(row * perRow, (row + 1) * perRow),
    );
  }

  /** Closes the connections when the calls under way have ended. */
  close(): void {
    this.client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Waits for the calls under way, then closes the connections. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.client[Symbol.asyncDispose]();
  }

  #formOf(model: string): ModelForm {
    const form = this.#forms.get(model);
    if (form === undefined) throw new TypeError(`the client was generated without the model '${model}'`);
    return form;
  }
}

function toTensors(model: string, { inputs: forms }: ModelForm, inputs: object): Inputs {
  const given = Object.entries(inputs).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    given.map(([name, value]) => {
      const form = forms.get(name);
      if (form === undefined) {
        throw new TypeError(`model '${model}' has no input '${name}'; it has: ${[...forms.keys()].join(', ')}`);
      }
      return [name, toTensor(`input '${name}' of model '${model}'`, form, value)];
    }),
  );
}

function toTensor(subject: string, form: TensorForm, value: AnyTensor | Elements[Datatype]): AnyTensor {
  if (!(value instanceof Tensor)) return new Tensor(form.datatype, shapeOf(subject, form, value), value) as AnyTensor;
  if (value.datatype !== form.datatype) {
    throw new TypeError(`${subject} is ${form.datatype}, not ${value.datatype}`);
  }
  if (!fits(value.shape, form.shape)) {
    throw new RangeError(`${subject} has the shape [${form.shape}], got [${value.shape}] (-1 is any size)`);
  }
  return value as AnyTensor;
}

/** The shape of bare elements: the open axis takes the size that they leave. */
function shapeOf(subject: string, { shape }: TensorForm, { length }: { readonly length: number }): Shape {
  const open = shape.filter((size) => size === -1).length;
  if (open > 1) {
    throw new TypeError(`${subject} has ${open} open axes, [${shape}]: give a tensor, which has a shape`);
  }
  const row = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const rest = length / row;
  if (open === 0 ? rest !== 1 : !Number.isInteger(rest)) {
    throw new RangeError(`${subject} has the shape [${shape}], which ${length} elements do not fill`);
  }
  return shape.map((size) => (size === -1 ? rest : size));
}

function fits(shape: Shape, wanted: Shape): boolean {
  return shape.length === wanted.length && wanted.every((size, axis) => size === -1 || size === shape[axis]);
}

function outputOf(result: InferenceResult, { outputs }: ModelForm, name: string): AnyTensor {
  const form = outputs.get(name);
  if (form === undefined) throw new TypeError(`the client was generated without the output '${name}'`);
  const output = result.output(name, form.datatype) as AnyTensor;
  if (!fits(output.shape, form.shape)) {
    throw new TypeError(
      `output '${name}' of model '${result.modelName}' has the shape [${output.shape}], not [${form.shape}]: generate the client again`,
    );
  }
  return output;
}

/** `value:index:label`, whose label may contain colons. */
function toClass<Label>(text: string): Class<Label> {
  const [value = '', index = '', ...label] = text.split(':');
  return { value: Number(value), index: Number(index), label: label.join(':') as Label };
}
