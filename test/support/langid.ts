/** The language detector of the package `lande` (MIT) as ONNX: `ngrams` FP32 [rows,620] -> `languages` FP32 [rows,50]. */

import { fileURLToPath, pathToFileURL } from 'node:url';
import type { OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { Network } from './network.ts';

interface Dense {
  readonly filters: readonly { readonly w: Float32Array }[];
  readonly biases: { readonly w: Float32Array };
}

export interface LanguageDetector {
  readonly model: OnnxModel;
  readonly languages: readonly string[];
  /** Relative frequencies of the n-grams that it knows. */
  features(sentence: string): Float32Array;
}

export async function languageDetector(): Promise<LanguageDetector> {
  // The package exports only its answer; its weights are in files beside it.
  const folder = new URL('../../node_modules/lande/standalone/', import.meta.url);
  const load = async (name: string) => import(pathToFileURL(fileURLToPath(new URL(name, folder))).href);
  const [{ default: options }, { default: ngrams }, { default: languages }, { infer }] = await Promise.all(
    ['t50-options.js', 't50-ngrams.js', 't50-langs.js', 'utils.js'].map(load),
  );
  const { NeuralNetwork } = await load('../../toygrad/dist/index.js');
  const layers: Partial<Dense>[] = new NeuralNetwork(options).layers;
  const dense = layers.filter((layer): layer is Dense => layer.filters !== undefined);
  const network = new Network();
  let tensor = 'ngrams';
  for (const [index, { filters, biases }] of dense.entries()) {
    const weight = Float32Array.from(filters.flatMap(({ w }) => [...w]));
    const shape = [filters.length, filters[0]?.w.length ?? 0];
    if (index > 0) tensor = network.add('Relu', [tensor]);
    const constants = [
      network.constant(`w${index}`, weight, shape),
      network.constant(`b${index}`, Float32Array.from(biases.w), [filters.length]),
    ];
    tensor = network.add('Gemm', [tensor, ...constants], { transB: 1 });
  }
  tensor = network.add('Softmax', [tensor], { axis: 1 });
  return {
    model: network.model([{ name: 'ngrams', axes: ['rows', 620] }], [{ name: tensor, axes: ['rows', 50] }]),
    languages,
    features(sentence) {
      let seen = new Float32Array();
      const forward = ({ w }: { w: Float32Array }) => {
        seen = Float32Array.from(w);
        return { w: seen };
      };
      infer(sentence, languages, ngrams, { forward });
      return seen;
    },
  };
}
