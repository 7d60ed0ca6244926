/** Code that `compress` and `golden` share: the errors that a user can cause, and samples in the form of a model. */

import { type Contender, MismatchError } from '../compare/contender.ts';
import { PublishError } from '../compare/publish.ts';
import { DataError, type Sample } from '../compare/sample.ts';
import { type Target, TargetError } from '../compare/target.ts';
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

export function dataModelOf({ signature }: Contender, { folder }: Target): DataModel {
  const describe = ({ name, datatype, shape }: (typeof signature.inputs)[number]) => ({ name, datatype, shape });
  const metadata = {
    name: folder.name,
    versions: [],
    platform: 'onnxruntime_onnx',
    inputs: signature.inputs.map(describe),
    outputs: signature.outputs.map(describe),
    properties: {},
  };
  return { metadata, signature };
}

/** Golden rows have one shape: the shape of the first row. */
export function ofOneShape(samples: readonly Sample[]): Sample[] {
  const shapes = JSON.stringify(samples[0]?.tensors.shapes);
  return samples.filter(({ tensors }) => JSON.stringify(tensors.shapes) === shapes);
}
