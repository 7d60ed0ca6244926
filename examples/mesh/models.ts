// Written by tensorgate client generate. Do not edit: generate it again, and compare it in CI with --check.

import { type ClientOptions, type InputOf, type ModelForm, ModelsClient, type Tensor } from '../../src/client/inference-client.ts';

/** Model cifar10 (onnxruntime_onnx). */
export interface Cifar10 {
  readonly inputs: {
    /** UINT8 [-1, 3, 32, 32]; -1 is any size */
    readonly image: InputOf<'UINT8', readonly [number, 3, 32, 32]>;
  };
  readonly outputs: {
    /** FP32 [-1, 10]; -1 is any size */
    readonly probabilities: Tensor<'FP32', readonly [number, 10]>;
  };
  readonly version: '1' | '2';
  readonly labels: {
    readonly probabilities: 'airplane' | 'automobile' | 'bird' | 'cat' | 'deer' | 'dog' | 'frog' | 'horse' | 'ship' | 'truck';
  };
}

/** The models, by name. */
export interface Models {
  readonly cifar10: Cifar10;
}

const FORMS: ReadonlyMap<string, ModelForm> = new Map<string, ModelForm>([
  [
    'cifar10',
    {
      inputs: new Map([
        ['image', { datatype: 'UINT8', shape: [-1, 3, 32, 32] }],
      ]),
      outputs: new Map([
        ['probabilities', { datatype: 'FP32', shape: [-1, 10] }],
      ]),
    },
  ],
]);

/** A client of these models. */
export function createModelsClient(
  url: string | readonly string[],
  options: ClientOptions = {},
): ModelsClient<Models> {
  return new ModelsClient<Models>(url, options, FORMS);
}
