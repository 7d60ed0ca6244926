import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { MODEL_CONFIG, ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import {
  nameOfStep,
  neededSteps,
  readEnsembleGraph,
} from '../../../../src/gateway/repository/signature/ensemble-graph.ts';

type Config = z.input<typeof MODEL_CONFIG>;
type Step = NonNullable<Config['ensemble_scheduling']>['step'][number];

function tensors(...names: readonly string[]): { name: string; data_type: 'TYPE_FP32'; dims: number[] }[] {
  return names.map((name) => ({ name, data_type: 'TYPE_FP32', dims: [4] }));
}

function step(model: string, input_map: Step['input_map'], output_map: Step['output_map']): Step {
  return { model_name: model, input_map, output_map };
}

function config(steps: readonly Step[], fields: Partial<Config> = {}): Config {
  return {
    input: tensors('image'),
    output: tensors('text'),
    ensemble_scheduling: { step: [...steps] },
    ...fields,
  };
}

const PREPARE = step('prepare', { raw: 'image' }, { clean: 'cleaned' });
const READ = step('read', { x: 'cleaned' }, { y: 'text' });

/** a -> b -> d, a -> c -> d, and c gives an output of its own. */
const DIAMOND = config(
  [
    step('d', { left: 'ab', right: 'ac' }, { y: 'text' }),
    step('b', { x: 'a' }, { y: 'ab' }),
    step('c', { x: 'a' }, { y: 'ac' }),
    { ...step('a', { x: 'image' }, { y: 'a' }), model_version: 3 },
  ],
  { output: tensors('text', 'ac') },
);

describe('a graph', () => {
  test('knows the source and the readers of each tensor, in any order of the steps', () => {
    const { steps, tensors: all, inputs, outputs } = readEnsembleGraph(MODEL_CONFIG.parse(DIAMOND));
    expect(steps.map(({ model, version }) => `${model}:${version}`)).toEqual(['d:', 'b:', 'c:', 'a:3']);
    expect(Object.fromEntries(all.map(({ name, producer, consumers }) => [name, { producer, consumers }]))).toEqual({
      image: { producer: undefined, consumers: [3] },
      a: { producer: 3, consumers: [1, 2] },
      ab: { producer: 1, consumers: [0] },
      ac: { producer: 2, consumers: [0] },
      text: { producer: 0, consumers: [] },
    });
    expect(inputs.map((tensor) => all[tensor]?.name)).toEqual(['image']);
    expect(outputs.map((tensor) => all[tensor]?.name)).toEqual(['text', 'ac']);
  });

  test('needs only the steps that the wanted tensors come from', () => {
    const graph = readEnsembleGraph(MODEL_CONFIG.parse(DIAMOND));
    const [text = -1, ac = -1] = graph.outputs;
    expect(neededSteps(graph, [text])).toEqual([true, true, true, true]);
    expect(neededSteps(graph, [ac])).toEqual([false, false, true, true]);
    expect(neededSteps(graph, [])).toEqual([false, false, false, false]);
  });

  test('may give one tensor to two inputs of a step', () => {
    const twice = step('twice', { a: 'image', b: 'image' }, { y: 'text' });
    const graph = readEnsembleGraph(MODEL_CONFIG.parse(config([twice])));
    expect(graph.tensors[0]?.consumers).toEqual([0]);
    expect(nameOfStep(graph, 0)).toBe("step 0 (model 'twice')");
  });
});

describe('is refused', () => {
  const cases: readonly { readonly what: string; readonly config: Config; readonly text: string }[] = [
    {
      what: 'an input of a step that nobody gives',
      config: config([PREPARE, step('read', { x: 'cleand' }, { y: 'text' })]),
      text: "ensemble_scheduling: step 1 (model 'read') takes the tensor 'cleand' as 'x', but neither an input of the ensemble nor a step gives it",
    },
    {
      what: 'an output of the ensemble that nobody gives',
      config: config([PREPARE]),
      text: "ensemble_scheduling: no step gives the output 'text'",
    },
    {
      what: 'an input of the ensemble as its output',
      config: config([PREPARE, READ], { output: tensors('text', 'image') }),
      text: "ensemble_scheduling: no step gives the output 'image'",
    },
    {
      what: 'an input of the ensemble that nobody takes',
      config: config([PREPARE, READ], { input: tensors('image', 'mask') }),
      text: "ensemble_scheduling: no step takes the input 'mask'",
    },
    {
      what: 'a tensor that two steps give',
      config: config([PREPARE, READ, step('again', { x: 'cleaned' }, { y: 'text' })]),
      text: "ensemble_scheduling: tensor 'text' is given twice: by step 1 and by step 2",
    },
    {
      what: 'a tensor that one step gives twice',
      config: config([step('a', { x: 'image' }, { y: 'text', z: 'text' })]),
      text: "ensemble_scheduling: tensor 'text' is given twice: by step 0 and by step 0",
    },
    {
      what: 'a step that overwrites an input of the ensemble',
      config: config([step('a', { x: 'image' }, { y: 'image' }), READ]),
      text: "ensemble_scheduling: tensor 'image' is given twice: by an input of the ensemble and by step 0",
    },
    {
      what: 'a step that waits for itself',
      config: config([step('a', { x: 'image', z: 'text' }, { y: 'text' })]),
      text: "ensemble_scheduling: the steps wait for each other: step 0 (model 'a') -> step 0 (model 'a')",
    },
    {
      what: 'steps that wait for each other, and none that waits for those',
      config: config([
        step('last', { x: 'c' }, { y: 'text' }),
        step('b', { x: 'image', z: 'c' }, { y: 'b' }),
        step('c', { x: 'b' }, { y: 'c' }),
      ]),
      text: "ensemble_scheduling: the steps wait for each other: step 2 (model 'c') -> step 1 (model 'b') -> step 2 (model 'c')",
    },
    {
      what: 'a step that no output needs',
      config: config([PREPARE, READ, step('log', { x: 'cleaned' }, { y: 'logged' })]),
      text: "ensemble_scheduling: no output of the ensemble needs step 2 (model 'log'): it would never run",
    },
    {
      what: 'an input without a datatype',
      config: config([PREPARE, READ], { input: [{ name: 'image', dims: [4] }] }),
      text: "input 'image': an ensemble has to say its data_type and dims",
    },
    {
      what: 'an output without dims',
      config: config([PREPARE, READ], { output: [{ name: 'text', data_type: 'TYPE_FP32' }] }),
      text: "output 'text': an ensemble has to say its data_type and dims",
    },
    {
      what: 'an output that is there twice',
      config: config([PREPARE, READ], { output: tensors('text', 'text') }),
      text: "output 'text' is there twice",
    },
    {
      what: 'an ensemble without inputs',
      config: config([PREPARE, READ], { input: [] }),
      text: 'input: an ensemble needs at least one',
    },
    {
      what: 'an ensemble with instances',
      config: config([PREPARE, READ], { instance_group: [{ count: 2 }] }),
      text: 'instance_group: an ensemble has no instances; its steps have',
    },
    {
      what: 'an ensemble with sequences',
      config: config([PREPARE, READ], { sequence_batching: {} }),
      text: 'sequence_batching: an ensemble keeps no sequences; the models of its steps may',
    },
  ];

  test.each(cases)('$what', ({ config: given, text }) => {
    expect(() => readEnsembleGraph(MODEL_CONFIG.parse(given))).toThrow(new ModelConfigError(text));
  });
});
