/** Options that several commands share. */

import { Option } from 'commander';
import { parseCount } from './option-values.ts';

export function repositoryOption(): Option {
  return new Option('--model-repository <dir>', 'model repository')
    .env('TENSORGATE_MODEL_REPOSITORY')
    .makeOptionMandatory();
}

export function urlOption(): Option {
  return new Option('--url <host:port>', 'gRPC address of the server').env('TENSORGATE_URL').default('127.0.0.1:8001');
}

export function deadlineOption(): Option {
  return new Option('--deadline-ms <ms>', 'deadline of each call').argParser(parseCount).default(30_000);
}
