/**
 * The tensors of one request of an ensemble: the values that are there, the steps that wait for them, and the room that they take.
 * The rule ENS-4 of `ensemble-run.ts` is held here.
 */

import { NO_PARAMETERS } from '../../../wire/infer-parameter.ts';
import type { InferInput, InferRequest } from '../../../wire/infer-request.ts';
import { bytesOf } from '../../../wire/tensor-bytes.ts';
import type { Admission, Permit } from '../../admit/admission.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { OutputTensor } from '../../batch/queued-request.ts';
import { InferError } from '../../errors.ts';
import { type EnsembleGraph, type EnsembleStep, neededSteps } from '../../repository/signature/ensemble-graph.ts';
import type { ModelSignature } from '../../repository/signature/model-signature.ts';

/** The ensemble, and where its tensors take room. */
export interface StepTensorsOptions {
  readonly name: string;
  readonly graph: EnsembleGraph;
  readonly signature: ModelSignature;
  readonly admission: Admission;
}

export class StepTensors {
  /** By step: whether a wanted output needs it. */
  readonly needed: readonly boolean[];
  readonly #options: StepTensorsOptions;
  readonly #requestId: string;
  readonly #wanted: readonly number[];
  /** By step: how many of its inputs are not there yet; `undefined` for one that is not needed. */
  readonly #missing: (number | undefined)[];
  /** By tensor: its value, as long as a step or the answer needs it. */
  readonly #values: (OutputTensor | undefined)[];
  /** By tensor: the needed steps that take it, and have not ended. */
  readonly #takers: number[];
  readonly #room: (Permit | undefined)[];

  /** @param wanted outputs of the ensemble, as tensors of its graph */
  constructor(options: StepTensorsOptions, request: InferTensors, wanted: readonly number[]) {
    const { graph, signature } = options;
    const needed = neededSteps(graph, wanted);
    this.needed = needed;
    this.#options = options;
    this.#requestId = request.requestId ?? '';
    this.#wanted = wanted;
    this.#missing = graph.steps.map(({ inputs }, step) =>
      needed[step] === true ? new Set(inputs.map(({ tensor }) => tensor)).size : undefined,
    );
    this.#takers = graph.tensors.map(({ consumers }) => consumers.filter((step) => needed[step]).length);
    this.#values = graph.tensors.map(() => undefined);
    this.#room = graph.tensors.map(() => undefined);
    for (const [index, tensor] of graph.inputs.entries()) {
      const spec = signature.inputs[index];
      const data = request.inputs[index];
      const shape = request.shapes[index];
      if (spec === undefined || data === undefined || shape === undefined) throw new TypeError(`no input ${index}`);
      this.#values[tensor] = { name: spec.name, datatype: spec.datatype, shape, data: bytesOf(data) };
    }
  }

  /** The needed steps without inputs, and those that need only inputs of the request. To be called once, first. */
  firstSteps(): number[] {
    const { graph } = this.#options;
    const free = graph.steps.flatMap((_, step) => (this.#missing[step] === 0 ? [step] : []));
    return [...free, ...this.arrive(graph.inputs)];
  }

  /** The steps whose last missing inputs are these. */
  arrive(tensors: readonly number[]): number[] {
    const ready: number[] = [];
    for (const tensor of tensors) {
      for (const step of this.#options.graph.tensors[tensor]?.consumers ?? []) {
        const missing = this.#missing[step];
        if (missing === undefined) continue;
        this.#missing[step] = missing - 1;
        if (missing === 1) ready.push(step);
      }
    }
    return ready;
  }

  /** The step as a request of its model, which is checked like one of a client. The tensors are passed on, not copied. */
  requestOf({ model, version, inputs }: EnsembleStep): InferRequest {
    const tensors: InferInput[] = [];
    const raw: Uint8Array[] = [];
    for (const { name, tensor } of inputs) {
      const value = this.#values[tensor];
      if (value === undefined) throw new TypeError(`tensor ${tensor} is not there`);
      const { datatype, shape, data } = value;
      tensors.push({ name, datatype, shape, parameters: NO_PARAMETERS, contents: undefined });
      raw.push(data);
    }
    return {
      modelName: model,
      modelVersion: version,
      id: this.#requestId,
      parameters: NO_PARAMETERS,
      inputs: tensors,
      outputs: [],
      rawInputContents: raw,
    };
  }

  /**
   * A step has ended: its inputs are released, and its outputs are kept.
   * @throws InferError where the model gave no such output, or there is no room for it
   */
  exchange(step: EnsembleStep, outputs: readonly OutputTensor[]): void {
    for (const tensor of new Set(step.inputs.map((input) => input.tensor))) this.#release(tensor);
    for (const { spec, tensor } of step.outputs) this.#keep(tensor, spec.name, outputs);
  }

  /** The wanted outputs, by the names that clients know. */
  answer(): OutputTensor[] {
    const { graph } = this.#options;
    return this.#wanted.flatMap((tensor) => {
      const value = this.#values[tensor];
      return value === undefined ? [] : [{ ...value, name: graph.tensors[tensor]?.name ?? '' }];
    });
  }

  /** Gives all room back. */
  releaseAll(): void {
    for (const permit of this.#room) permit?.[Symbol.dispose]();
  }

  /** Takes over an output of a step, if a needed step or the answer takes it. */
  #keep(tensor: number, output: string, outputs: readonly OutputTensor[]): void {
    const isAnswer = this.#wanted.includes(tensor);
    const isTaken = (this.#takers[tensor] ?? 0) > 0;
    if (!isAnswer && !isTaken) return;
    const value = outputs.find(({ name }) => name === output);
    if (value === undefined) throw new InferError('internal', `the model gave no output '${output}'`);
    // An output that is only an answer takes no room here, as an output of a model does not.
    if (isTaken) {
      const whose = `a tensor between the steps of ensemble '${this.#options.name}'`;
      this.#room[tensor] = this.#options.admission.tryHold(value.data.byteLength, whose);
    }
    this.#values[tensor] = value;
  }

  #release(tensor: number): void {
    const takers = (this.#takers[tensor] ?? 0) - 1;
    this.#takers[tensor] = takers;
    if (takers > 0) return;
    this.#room[tensor]?.[Symbol.dispose]();
    if (!this.#wanted.includes(tensor)) this.#values[tensor] = undefined;
  }
}
