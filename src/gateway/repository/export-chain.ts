/** The chain around the model of an exported folder: the configurations of its parts, and the step behind the model. */

import type { Json } from './exported-files.ts';

/** Configurations by part; the ensemble has the key `''`. */
export interface ExportChain {
  readonly configs: ReadonlyMap<string, object>;
  /** Why there is no ensemble, if so. */
  readonly problem: string | undefined;
}

/** The step behind the model, if there is one. */
export interface Ending {
  readonly part?: { readonly name: string; readonly config: object; readonly inputs: Readonly<Record<string, string>> };
  /** Output of the model that goes on. */
  readonly output: string;
  /** Outputs of the ensemble. */
  readonly given: readonly { readonly name: string; readonly data_type: string; readonly dims: readonly number[] }[];
  /** Rows are pairs of texts. */
  readonly isPair: boolean;
}

/** The head of an architecture, such as `SequenceClassification`; `undefined` where `config.json` names none. */
export function headOf(config: Json): string | undefined {
  return /For(?<head>\w+)$/.exec(String(architectureOf(config) ?? ''))?.groups?.['head'];
}

export function architectureOf(config: Json): unknown {
  return Array.isArray(config['architectures']) ? (config['architectures'] as unknown[])[0] : undefined;
}

/** Classes with their scores. A classifier of texts with one logit is a reranker, which takes pairs, or a regression. */
export function classesOf(config: Json, output: string): Ending {
  const named = config['id2label'];
  const byId = typeof named === 'object' && named !== null ? Object.entries(named) : [];
  const labels = byId.sort(([a], [b]) => Number(a) - Number(b)).map(([, label]) => String(label));
  const isSingle = labels.length === 1 || config['num_labels'] === 1;
  const problem = config['problem_type'];
  const isSigmoid = problem === 'multi_label_classification' || (isSingle && problem !== 'regression');
  const name = isSigmoid ? 'sigmoid' : isSingle || problem === 'regression' ? 'none' : 'softmax';
  const dims = [labels.length > 0 ? labels.length : isSingle ? 1 : -1];
  const score = { name: 'score', data_type: 'TYPE_FP32', dims };
  const options = { function: name, labels: isSingle ? ['score'] : labels };
  return {
    part: {
      name: 'labels',
      config: { platform: 'tensorgate_labels', tensorgate: { classes: options } },
      inputs: { logits: output },
    },
    output,
    given: isSingle ? [score] : [{ name: 'label', data_type: 'TYPE_STRING', dims }, score],
    isPair: isSingle && problem !== 'regression',
  };
}
