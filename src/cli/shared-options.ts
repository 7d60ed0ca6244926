/** Options that several commands share. */

import { Option } from 'commander';

export function repositoryOption(): Option {
  return new Option('--model-repository <dir>', 'model repository')
    .env('TENSORGATE_MODEL_REPOSITORY')
    .makeOptionMandatory();
}
