/**
 * Names that every JavaScript object has, in every place where people choose names, through every door: a plain object that is indexed
 * by one of them finds a function, or changes its prototype.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Inputs, tensor } from '../../src/client/inference-client.ts';
import { runCommandLine } from '../cli/command-line.ts';
import { DOORS } from '../support/caller.ts';
import { linkModel } from '../support/onnx-models.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';

const NAMES = [
  ...Object.getOwnPropertyNames(Object.prototype),
  ...['then', 'toJSON', 'prototype', 'length', 'name', 'caller', 'arguments'],
];

const nextOf = (index: number): string => NAMES[(index + 1) % NAMES.length] ?? '';
const CONFIG = { instance_group: [{ count: 1, kind: 'KIND_CPU' }], tensorgate: { runner: 'names' } };
/** Inputs and outputs have the same names; each output is the input of the next name. */
const ring = (suffix: string): Uint8Array =>
  linkModel(new Map(NAMES.map((name, index) => [`${name}${suffix}`, nextOf(index)])));

/** The same ring as an ensemble, whose tensors have such names too. */
function ensembleOf(model: string): ModelFiles {
  const tensorOf = (name: string) => ({ name, data_type: 'TYPE_FP32', dims: [3] });
  const byName = (entries: readonly (readonly [string, string])[]) => Object.fromEntries(entries);
  const config = {
    platform: 'ensemble',
    max_batch_size: 64,
    input: NAMES.map(tensorOf),
    output: NAMES.map((name) => tensorOf(`${name}.out`)),
    ensemble_scheduling: {
      step: [
        {
          model_name: model,
          input_map: byName(NAMES.map((name) => [name, name])),
          output_map: byName(NAMES.map((name) => [`${name}.out`, `${name}.out`])),
        },
      ],
    },
  };
  return { versions: { 1: undefined }, config };
}

const fixture = useServer(
  {
    constructor: { versions: { 1: ring('.out') }, config: CONFIG },
    toString: ensembleOf('constructor'),
    // By itself, because an input cannot have the name of an output.
    outputs: { versions: { 1: linkModel(new Map(NAMES.map((name) => [name, `${name}.in`]))) }, config: CONFIG },
  },
  {
    flags: [
      '--log-level',
      'error',
      '--tenant-key',
      'constructor',
      '--tenant-weights',
      '__proto__=2',
      '--tenant-rate',
      '0',
    ],
  },
);

const row = (value: number) => tensor.fp32(new Float32Array([value, 0, 1]), [1, 3]);
const named = (names: readonly string[], suffix = ''): Inputs =>
  Object.fromEntries(names.map((name) => [`${name}${suffix}`, row(NAMES.indexOf(name))]));

describe.each(DOORS)('over $name', ({ connect }) => {
  test.each(['constructor', 'toString'])('inputs in any order reach their outputs: %s', async (model) => {
    using caller = connect(fixture.server);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(NAMES, { minLength: NAMES.length }), async (order) => {
        const { outputs } = await caller.infer(model, named(order));
        for (const [index, name] of NAMES.entries()) {
          const data = outputs.get(`${name}.out`)?.data;
          expect([name, Number((data as Float32Array | undefined)?.[0])]).toEqual([name, NAMES.indexOf(nextOf(index))]);
        }
      }),
      { numRuns: 5 },
    );
  });

  test('outputs have such names', async () => {
    using caller = connect(fixture.server);
    const { outputs } = await caller.infer('outputs', named(NAMES, '.in'));
    expect([...outputs.keys()].sort()).toEqual([...NAMES].sort());
    for (const name of NAMES) expect([...(outputs.get(name)?.data ?? [])]).toEqual([NAMES.indexOf(name), 0, 1]);
  });

  test('an unknown model, and an unknown input, is refused by its name', async () => {
    using caller = connect(fixture.server);
    for (const name of NAMES.filter((each) => each !== 'constructor' && each !== 'toString')) {
      await expect(caller.infer(encodeURIComponent(name), named(['valueOf']))).rejects.toThrow(name);
      await expect(caller.infer('outputs', { ...named(NAMES, '.in'), ...named([name]) })).rejects.toThrow(`'${name}'`);
    }
  });
});

test('such names are parameters and requested outputs over REST', async () => {
  for (const name of NAMES) {
    const inputs = NAMES.map((each) => ({ name: `${each}.in`, datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }));
    const parameters = JSON.parse(`{${JSON.stringify(name)}: "1"}`);
    const response = await fetch(`${fixture.server.http}/v2/models/outputs/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs, parameters, outputs: [{ name }] }),
    });
    const { outputs } = (await response.json()) as { outputs: { name: string }[] };
    expect(outputs.map((output) => output.name)).toEqual([name]);
  }
});

test.each(NAMES)('%s is the name of a tenant, whose key has such a name too', async (name) => {
  const inputs = NAMES.map((each) => ({ name: `${each}.in`, datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }));
  const response = await fetch(`${fixture.server.http}/v2/models/outputs/infer`, {
    method: 'POST',
    headers: { constructor: name },
    body: JSON.stringify({ inputs }),
  });
  expect(response.status).toBe(200);
});

test('the command line describes and asks a model of such names', async () => {
  const url = fixture.server.grpc;
  const listed = await runCommandLine(['models', '--url', url, '--json']);
  expect({ code: listed.code, names: /"toString"/.test(listed.stdout) }).toEqual({ code: 0, names: true });
  const inputs = NAMES.map((each) => ({ name: `${each}.in`, datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }));
  const asked = await runCommandLine(['infer', 'outputs', '--url', url, '--json', '-'], {
    input: JSON.stringify({ inputs }),
  });
  expect(asked.stderr).toBe('');
  const { outputs } = JSON.parse(asked.stdout) as { outputs: { name: string; data: number[] }[] };
  expect(outputs.map((output) => output.name).sort()).toEqual([...NAMES].sort());
});
