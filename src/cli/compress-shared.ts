/** Code that `compress` and `golden` share: the errors that a user can cause, and a model in the form that data are read for. */

import { type Contender, MismatchError } from '../compare/contender.ts';
import { PublishError } from '../compare/publish.ts';
import { DataError } from '../compare/sample.ts';
import { type Target, TargetError } from '../compare/target.ts';
import { TextTokens } from '../compare/text-tokens.ts';
import { CompressError } from '../compress/compress-error.ts';
import { RunError } from '../compress/runner-session.ts';
import { LoadError } from '../gateway/dispatch/runner-process.ts';
import { ModelConfigError } from '../gateway/repository/config/model-config.ts';
import { RepositoryError } from '../gateway/repository/model-repository.ts';
import { CliError } from './cli-error.ts';
import type { DataModel } from './data/data-model.ts';

/** Errors of a user's model, data or repository. */
const EXPECTED = [
  CompressError,
  DataError,
  LoadError,
  MismatchError,
  ModelConfigError,
  PublishError,
  RepositoryError,
  RunError,
  TargetError,
] as const;

/** A CliError where it is no fault of ours. */
export function expected(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const isSystems = 'syscall' in error;
  return isSystems || EXPECTED.some((type) => error instanceof type)
    ? new CliError(error.message, { cause: error })
    : error;
}

/** @throws DataError where the tokenizer of the model cannot be read */
export async function dataModelOf({ signature }: Contender, { folder, text }: Target): Promise<DataModel> {
  const describe = ({ name, datatype, shape }: (typeof signature.inputs)[number]) => ({ name, datatype, shape });
  const metadata = {
    name: folder.name,
    versions: [],
    platform: 'onnxruntime_onnx',
    inputs: signature.inputs.map(describe),
    outputs: signature.outputs.map(describe),
    properties: {},
  };
  const tokens = text && (await TextTokens.open(text.tokenizer.directory, text.tokenizer.options));
  return { metadata, signature, tokens };
}
