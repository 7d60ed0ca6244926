/** The TypeScript file that `tensorgate client generate` writes. It depends only on the models, in whatever order they come. */

import type { ModelConfig, ModelMetadata, TensorMetadata } from '../client/inference-client.ts';
import { DATATYPE_BYTES, type Datatype, isDatatype } from '../wire/tensor.ts';
import { CliError } from './cli-error.ts';
import { toComment, toKey, toLiteral, typeNames, union } from './typescript-text.ts';

/** A model as the server describes it. */
export interface DescribedModel {
  readonly name: string;
  readonly metadata: ModelMetadata;
  /** `undefined`: the server has no ModelConfig. */
  readonly config: ModelConfig | undefined;
}

/**
 * @param source the package that has the client
 * @throws CliError where a tensor has no known datatype
 */
export function modelsModule(models: readonly DescribedModel[], source: string): string {
  const sorted = [...models].sort((a, b) => (a.name < b.name ? -1 : 1));
  const names = typeNames(sorted.map(({ name }) => name));
  const types = sorted.map((model) => ({ model, type: names.get(model.name) ?? '' }));
  return `// Written by tensorgate client generate. Do not edit: generate it again, and compare it in CI with --check.

import { type ClientOptions, type InputOf, type ModelForm, ModelsClient, type Tensor } from ${toLiteral(source)};

${types.map(({ model, type }) => modelTypes(model, type)).join('\n')}
/** The models, by name. */
export interface Models {
${types.map(({ model, type }) => `  readonly ${toKey(model.name)}: ${type};`).join('\n')}
}

const FORMS: ReadonlyMap<string, ModelForm> = new Map<string, ModelForm>([
${sorted.map(form).join('\n')}
]);

/** A client of these models. */
export function createModelsClient(
  url: string | readonly string[],
  options: ClientOptions = {},
): ModelsClient<Models> {
  return new ModelsClient<Models>(url, options, FORMS);
}
`;
}

function modelTypes(model: DescribedModel, type: string): string {
  const { name, metadata, config } = model;
  const description = parameterOf(config, 'description');
  const doc = [
    `Model ${name}${metadata.platform === '' ? '' : ` (${metadata.platform})`}.`,
    ...(description ?? '').split('\n'),
  ];
  const optional = new Set(config?.input?.filter((input) => input.optional).map((input) => input.name));
  const inputs = metadata.inputs.map((tensor) => {
    const shape = shapeType(tensor);
    const mark = optional.has(tensor.name) ? '?' : '';
    const suffix = mark === '' ? '' : ' | undefined';
    return `    ${describe(tensor)}\n    readonly ${toKey(tensor.name)}${mark}: InputOf<'${datatypeOf(name, tensor)}', ${shape}>${suffix};`;
  });
  const outputs = metadata.outputs.map(
    (tensor) =>
      `    ${describe(tensor)}\n    readonly ${toKey(tensor.name)}: Tensor<'${datatypeOf(name, tensor)}', ${shapeType(tensor)}>;`,
  );
  const labels = metadata.outputs.flatMap(({ name: output }) => {
    const classes = listOf(config, `labels.${output}`);
    return classes.length === 0 ? [] : [`    readonly ${toKey(output)}: ${union(classes)};`];
  });
  const versions = [...metadata.versions, ...listOf(config, 'version_labels')];
  return `${toComment(doc)}
export interface ${type} {
  readonly inputs: {
${inputs.join('\n')}
  };
  readonly outputs: {
${outputs.join('\n')}
  };
  readonly version: ${versions.length === 0 ? 'string' : union(versions)};
  readonly labels: {${labels.length === 0 ? '' : `\n${labels.join('\n')}\n  `}};
}
`;
}

/** The datatype and the shape, for people. */
function describe({ datatype, shape }: TensorMetadata): string {
  return toComment([`${datatype} [${shape.join(', ')}]${shape.includes(-1) ? '; -1 is any size' : ''}`]);
}

function shapeType({ shape }: TensorMetadata): string {
  return `readonly [${shape.map((size) => (size < 0 ? 'number' : String(size))).join(', ')}]`;
}

function datatypeOf(model: string, { name, datatype }: TensorMetadata): Datatype {
  if (isDatatype(datatype)) return datatype;
  const known = [...Object.keys(DATATYPE_BYTES), 'BYTES'].join(', ');
  throw new CliError(`model '${model}': '${name}' has the datatype '${datatype}'; expected one of ${known}`);
}

function form({ name, metadata: { inputs, outputs } }: DescribedModel): string {
  const list = (tensors: readonly TensorMetadata[]): string =>
    tensors
      .map((tensor) => {
        const shape = tensor.shape.map((size) => (size < 0 ? -1 : size)).join(', ');
        return `\n        [${toLiteral(tensor.name)}, { datatype: '${datatypeOf(name, tensor)}', shape: [${shape}] }],`;
      })
      .join('');
  return `  [
    ${toLiteral(name)},
    {
      inputs: new Map([${list(inputs)}
      ]),
      outputs: new Map([${list(outputs)}
      ]),
    },
  ],`;
}

function parameterOf(config: ModelConfig | undefined, name: string): string | undefined {
  const parameters = new Map(Object.entries(config?.parameters ?? {}));
  return parameters.get(name)?.stringValue;
}

/** A parameter that holds a JSON array of texts; empty where it does not. */
function listOf(config: ModelConfig | undefined, name: string): readonly string[] {
  try {
    const list: unknown = JSON.parse(parameterOf(config, name) ?? '[]');
    return Array.isArray(list) ? list.map(String) : [];
  } catch {
    return [];
  }
}
