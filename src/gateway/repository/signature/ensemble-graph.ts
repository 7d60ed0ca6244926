/**
 * The graph of an ensemble, as its configuration says it: which step waits for which tensor. What the steps' models make of it
 * is the matter of `ensemble-signature.ts`.
 */

import { type ModelConfig, ModelConfigError } from '../config/model-config.ts';

export interface StepInput {
  /** As the step's model calls it. */
  readonly name: string;
  /** Index in the graph's `tensors`. */
  readonly tensor: number;
}

export interface StepOutput {
  readonly spec: { readonly name: string };
  readonly tensor: number;
}

export interface EnsembleStep {
  readonly model: string;
  /** `''`: the version that serves the model's own requests. */
  readonly version: string;
  readonly inputs: readonly StepInput[];
  readonly outputs: readonly StepOutput[];
}

export interface GraphTensor {
  readonly name: string;
  /** The step that gives it; `undefined`: the caller does. */
  readonly producer: number | undefined;
  /** The steps that take it, each once. */
  readonly consumers: readonly number[];
}

export interface EnsembleGraph {
  readonly steps: readonly EnsembleStep[];
  readonly tensors: readonly GraphTensor[];
  /** The ensemble's inputs, in the order of the configuration, by their places in `tensors`. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** A step in texts: `step 2 (model 'recognise')`. Steps are counted from 0, as in `step[0]`. */
export function nameOfStep(graph: EnsembleGraph, step: number): string {
  return `step ${step} (model '${graph.steps[step]?.model ?? ''}')`;
}

interface GrowingTensor extends GraphTensor {
  readonly consumers: number[];
}

/** @throws ModelConfigError naming the tensor or the step where the graph is none that can be run. */
export function readEnsembleGraph(config: ModelConfig): EnsembleGraph {
  checkFields(config);
  const said = config.ensemble_scheduling?.step ?? [];
  const tensors: GrowingTensor[] = [];
  const places = new Map<string, number>();
  const add = (name: string, producer: number | undefined): number => {
    const twin = tensors[places.get(name) ?? -1];
    if (twin !== undefined) {
      const first = twin.producer === undefined ? 'an input of the ensemble' : `step ${twin.producer}`;
      const second = producer === undefined ? 'an input of the ensemble' : `step ${producer}`;
      throw new ModelConfigError(`ensemble_scheduling: tensor '${name}' is given twice: by ${first} and by ${second}`);
    }
    places.set(name, tensors.length);
    return tensors.push({ name, producer, consumers: [] }) - 1;
  };
  const inputs = config.input.map(({ name }) => add(name, undefined));
  const outputsOf = said.map(({ output_map }, step) =>
    [...output_map].map(([name, tensor]) => ({ spec: { name }, tensor: add(tensor, step) })),
  );
  const steps = said.map(({ model_name: model, model_version: version, input_map }, step): EnsembleStep => {
    const taken = [...input_map].map(([name, tensorName]): StepInput => {
      const tensor = places.get(tensorName);
      const consumers = tensors[tensor ?? -1]?.consumers;
      if (tensor === undefined || consumers === undefined) {
        throw new ModelConfigError(
          `ensemble_scheduling: step ${step} (model '${model}') takes the tensor '${tensorName}' as '${name}', but neither an input of the ensemble nor a step gives it`,
        );
      }
      if (!consumers.includes(step)) consumers.push(step);
      return { name, tensor };
    });
    return { model, version: version === -1 ? '' : String(version), inputs: taken, outputs: outputsOf[step] ?? [] };
  });
  const outputs = config.output.map(({ name }) => {
    const tensor = places.get(name);
    if (tensor === undefined || tensors[tensor]?.producer === undefined) {
      throw new ModelConfigError(`ensemble_scheduling: no step gives the output '${name}'`);
    }
    return tensor;
  });
  const unused = inputs.find((input) => tensors[input]?.consumers.length === 0);
  if (unused !== undefined) {
    throw new ModelConfigError(`ensemble_scheduling: no step takes the input '${tensors[unused]?.name}'`);
  }
  const graph = { steps, tensors, inputs, outputs };
  checkOrder(graph);
  const idle = neededSteps(graph, outputs).indexOf(false);
  if (idle >= 0) {
    throw new ModelConfigError(
      `ensemble_scheduling: no output of the ensemble needs ${nameOfStep(graph, idle)}: it would never run`,
    );
  }
  return graph;
}

/**
 * Which steps have to run for these tensors, by step.
 * @param wanted places in `tensors`.
 */
export function neededSteps({ steps, tensors }: EnsembleGraph, wanted: readonly number[]): boolean[] {
  const needed = steps.map(() => false);
  const visit = (tensor: number): void => {
    const producer = tensors[tensor]?.producer;
    if (producer === undefined || needed[producer] === true) return;
    needed[producer] = true;
    for (const input of steps[producer]?.inputs ?? []) visit(input.tensor);
  };
  for (const tensor of wanted) visit(tensor);
  return needed;
}

/** Refuses missing fields of an ensemble, and fields that only a model with sessions can have. */
function checkFields(config: ModelConfig): void {
  if (config.instance_group.length > 0) {
    throw new ModelConfigError('instance_group: an ensemble has no instances; its steps have');
  }
  if (config.sequence_batching !== undefined) {
    throw new ModelConfigError('sequence_batching: an ensemble keeps no sequences; the models of its steps may');
  }
  for (const kind of ['input', 'output'] as const) {
    if (config[kind].length === 0) throw new ModelConfigError(`${kind}: an ensemble needs at least one`);
    for (const [index, { name, data_type, dims }] of config[kind].entries()) {
      if (data_type === undefined || dims === undefined) {
        throw new ModelConfigError(`${kind} '${name}': an ensemble has to say its data_type and dims`);
      }
      if (config[kind].findIndex((other) => other.name === name) !== index) {
        throw new ModelConfigError(`${kind} '${name}' is there twice`);
      }
    }
  }
}

/** Follows the steps as they would run: those that are left over wait for each other. */
function checkOrder(graph: EnsembleGraph): void {
  const { steps, tensors } = graph;
  const left = new Set(steps.keys());
  const waitsFor = (step: number): number | undefined => {
    const open = steps[step]?.inputs.find(({ tensor }) => left.has(tensors[tensor]?.producer ?? -1));
    return open === undefined ? undefined : tensors[open.tensor]?.producer;
  };
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const step of left) if (waitsFor(step) === undefined) left.delete(step);
  }
  const [first] = left;
  if (first === undefined) return;
  // Each of those left over waits for another of them, so that going back comes round to where it was.
  const trail: number[] = [];
  for (let step: number | undefined = first; step !== undefined; step = waitsFor(step)) {
    const start = trail.indexOf(step);
    trail.unshift(step);
    if (start < 0) continue;
    const circle = trail.slice(0, start + 2).map((member) => nameOfStep(graph, member));
    throw new ModelConfigError(`ensemble_scheduling: the steps wait for each other: ${circle.join(' -> ')}`);
  }
}
