/** Options that several commands share. */

import { Option } from 'commander';

/** The argument of `serve`, `explain` and `models validate`. */
export const WHAT =
  'ONNX file, folder with one model (an export of Hugging Face, KServe or MLflow), or model repository';

export function repositoryOption(): Option {
  return new Option('--model-repository <dir>', 'model repository')
    .env('TENSORGATE_MODEL_REPOSITORY')
    .makeOptionMandatory();
}
