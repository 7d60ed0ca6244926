/** Inputs and outputs of an ensemble, if its graph fits the models of its steps. */

import type { Shape, TensorSpec } from '../../../wire/tensor.ts';
import type { ElementRule } from '../../../worker/protocol.ts';
import { datatypeOf } from '../config/data-types.ts';
import { type ModelConfig, ModelConfigError } from '../config/model-config.ts';
import type { ModelFiles } from '../model-files.ts';
import { type EnsembleGraph, nameOfStep } from './ensemble-graph.ts';
import { type Batching, type ModelSignature, type OutputSpec, readLabels } from './model-signature.ts';
import type { ModelTensor } from './row-axis.ts';

/** Description of an ensemble's tensor by one end of a mapping. */
interface End extends ModelTensor {
  /** Such as `input 'x' of step 1 (model 'b')`. */
  readonly what: string;
}

/**
 * Compares the graph with the models of its steps, as Triton does: a tensor's datatype is the same at both ends, its whole
 * shape too, but for axes that one end leaves open; no step takes fewer rows than the ensemble promises.
 * @param signatures of the steps' models, in the order of the steps.
 * @param files label files among them. Without a label file of its own, an output has the labels of the step that gives it.
 * @throws ModelConfigError
 */
export function resolveEnsemble(
  config: ModelConfig,
  graph: EnsembleGraph,
  signatures: readonly ModelSignature[],
  files: ModelFiles,
): ModelSignature {
  const optional = config.input.find((said) => said.optional === true);
  if (optional !== undefined) {
    throw new ModelConfigError(
      `input '${optional.name}' is optional in the configuration, but the inputs of an ensemble have no defaults: remove optional`,
    );
  }
  const maxRows = config.max_batch_size ?? 0;
  const inputs = config.input.map((said) => tensorOf(said, maxRows));
  const declared = config.output.map((said) => tensorOf(said, maxRows));
  /** By tensor: the end that gives it, then those that take it. */
  const givers = new Map<number, End>();
  const takers: { readonly tensor: number; readonly end: End }[] = [];
  for (const [index, tensor] of graph.inputs.entries()) {
    const input = inputs[index];
    if (input !== undefined) givers.set(tensor, { ...input, what: `input '${input.name}' of the ensemble` });
  }
  for (const [step, signature] of signatures.entries()) {
    const name = nameOfStep(graph, step);
    checkRows(name, signature, maxRows);
    const { inputs: taken = [], outputs: given = [] } = graph.steps[step] ?? {};
    for (const { name: input, tensor } of taken) {
      const spec = mapped('input', input, signature.inputs, name, maxRows);
      takers.push({ tensor, end: { ...spec, what: `input '${input}' of ${name}` } });
    }
    const unmapped = signature.inputs.find(
      (spec) => spec.default === undefined && !taken.some((input) => input.name === spec.name),
    );
    if (unmapped !== undefined) {
      throw new ModelConfigError(
        `ensemble_scheduling: ${name} needs the input '${unmapped.name}', which is not mapped`,
      );
    }
    for (const { spec: output, tensor } of given) {
      const spec = mapped('output', output.name, signature.outputs, name, maxRows);
      givers.set(tensor, { ...spec, what: `output '${output.name}' of ${name}` });
    }
  }
  for (const [index, tensor] of graph.outputs.entries()) {
    const output = declared[index];
    if (output !== undefined)
      takers.push({ tensor, end: { ...output, what: `output '${output.name}' of the ensemble` } });
  }
  for (const { tensor, end } of takers) checkEnds(graph.tensors[tensor]?.name ?? '', givers.get(tensor), end);
  return {
    inputs: inputs.map((input, index) => {
      const ends = takers.filter(({ tensor }) => tensor === graph.inputs[index]);
      const elements = strictest(ends.map(({ end }) => end.elements));
      return { ...input, ...(elements && { elements }) };
    }),
    outputs: declared.map((output, index) => {
      const ownFile = config.output[index]?.label_filename || undefined;
      if (ownFile !== undefined) return { ...output, labelFilename: ownFile, labels: readLabels(files, ownFile) };
      const inherited = outputOf(graph, graph.outputs[index] ?? -1, signatures);
      return { ...output, labelFilename: inherited?.labelFilename, labels: inherited?.labels ?? [] };
    }),
    batching: batchingOf(config, maxRows, signatures),
  };
}

/** A request with more rows goes through the graph as a whole: the models of the steps split it. */
function batchingOf({ tensorgate }: ModelConfig, maxRows: number, steps: readonly ModelSignature[]): Batching {
  if (maxRows === 0) return { kind: 'off', reason: 'the configuration of the ensemble has no max_batch_size' };
  const requestRows = tensorgate.split ? Math.min(...steps.map(mostRowsOf)) : 0;
  return requestRows > maxRows ? { kind: 'on', maxRows, requestRows } : { kind: 'on', maxRows };
}

/** Most rows of a request. For a model that does not batch, `max_batch_size` of the ensemble is the only limit. */
function mostRowsOf({ batching }: ModelSignature): number {
  return batching.kind === 'off' ? 0 : (batching.requestRows ?? batching.maxRows);
}

function tensorOf({ name, data_type, dims = [] }: ModelConfig['input'][number], maxRows: number): TensorSpec {
  return { name, datatype: datatypeOf(data_type ?? 'TYPE_FP32'), shape: maxRows > 0 ? [-1, ...dims] : dims };
}

function checkRows(step: string, signature: ModelSignature, maxRows: number): void {
  const most = mostRowsOf(signature);
  if (signature.batching.kind === 'off' || most >= maxRows) return;
  throw new ModelConfigError(`max_batch_size is ${maxRows}, but ${step} takes at most ${most} rows`);
}

/** The rule for an input that several steps share. */
function strictest(rules: readonly (ElementRule | undefined)[]): ElementRule | undefined {
  const [least] = rules.filter((rule) => rule !== undefined).sort((a, b) => a.maxBytes - b.maxBytes);
  return least && { ...least, isBinary: rules.every((rule) => rule?.isBinary === true) };
}

/** The model's side of a mapping. */
function mapped(
  kind: 'input' | 'output',
  name: string,
  specs: readonly ModelTensor[],
  step: string,
  maxRows: number,
): ModelTensor {
  const spec = specs.find((candidate) => candidate.name === name);
  if (spec === undefined) {
    const known = specs.map((candidate) => `'${candidate.name}'`).join(', ');
    throw new ModelConfigError(`ensemble_scheduling: ${step} has no ${kind} '${name}': it has ${known}`);
  }
  if (maxRows > 0 && spec.rowAxis !== undefined && spec.rowAxis !== 0) {
    const where = spec.rowAxis === 'shared' ? 'has one value for all rows' : `has its rows on axis ${spec.rowAxis}`;
    throw new ModelConfigError(
      `${kind} '${name}' of ${step} ${where}, so an ensemble can only pass it on whole: set max_batch_size: 0`,
    );
  }
  return spec;
}

function checkEnds(tensor: string, giver: End | undefined, taker: End): void {
  if (giver === undefined || (giver.datatype === taker.datatype && areAlike(giver.shape, taker.shape))) return;
  throw new ModelConfigError(
    `ensemble_scheduling: tensor '${tensor}': ${giver.what} is ${giver.datatype} [${giver.shape}], but ${taker.what} is ${taker.datatype} [${taker.shape}]`,
  );
}

function areAlike(one: Shape, other: Shape): boolean {
  return (
    one.length === other.length && one.every((size, axis) => size === -1 || other[axis] === -1 || size === other[axis])
  );
}

function outputOf(
  { steps, tensors }: EnsembleGraph,
  tensor: number,
  signatures: readonly ModelSignature[],
): OutputSpec | undefined {
  const producer = tensors[tensor]?.producer ?? -1;
  const name = steps[producer]?.outputs.find((output) => output.tensor === tensor)?.spec.name;
  return signatures[producer]?.outputs.find((output) => output.name === name);
}
