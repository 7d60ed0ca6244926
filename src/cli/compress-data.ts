/** The rows that candidates of `compress` are calibrated on, and the rows that they are judged on. */

import { type ClassOutput, findClassOutput } from '../compare/class-output.ts';
import type { Contender } from '../compare/contender.ts';
import { Embedding } from '../compare/embedding.ts';
import { makeUpData } from '../compare/made-up.ts';
import type { Report } from '../compare/report.ts';
import { type Dataset, rest, spread } from '../compare/sample.ts';
import type { Target } from '../compare/target.ts';
import { CliError } from './cli-error.ts';
import { dataModelOf } from './compress-shared.ts';
import { openDataset } from './data/dataset.ts';

/** Maximum of held-out rows to judge on. */
const MAX_HELD_OUT = 1_000;
/** With fewer held-out rows, the calibration rows are the better judges. */
const MIN_HELD_OUT = 32;

export interface DataFlags {
  readonly calibrate?: string;
  readonly rows: number;
  readonly evaluate?: string;
  /** An output that is a vector of each row. */
  readonly embedding?: string;
}

export interface CompressData {
  /** `undefined` without `--calibrate`. */
  readonly calibration: Dataset | undefined;
  readonly judged: Dataset;
  readonly kind: Report['data']['kind'];
  /** `undefined` where no output of the model has a score for each class. */
  readonly classes: ClassOutput | undefined;
  /** `undefined` where no output is a vector of each row. */
  readonly embedding: Embedding | undefined;
}

/**
 * Opens the data of the flags. Labelled rows are judged on where there are some; otherwise rows that were not calibrated on;
 * without any real rows, made-up ones.
 * @param metadata of the ONNX file, which may name the classes
 * @throws CliError where the data do not fit the model
 */
export async function openData(
  { calibrate, evaluate, rows, embedding: vectorName }: DataFlags,
  base: Contender,
  target: Target,
  metadata: readonly { readonly key: string; readonly value: string }[],
): Promise<CompressData> {
  const metadataLabels = labelsOf(metadata) ?? target.text?.labels ?? [];
  const model = await dataModelOf(base, target);
  const embedding = embeddingOf(base, target, vectorName);
  const given = calibrate === undefined ? undefined : await openDataset(calibrate, model, false);
  const calibration = given === undefined ? undefined : spread(given, rows);
  const output = embedding === undefined ? findClassOutput(base.signature) : undefined;
  const labelled = evaluate === undefined ? undefined : await openDataset(evaluate, model, true);
  if (labelled !== undefined) {
    if (embedding !== undefined) {
      throw new CliError(
        `--evaluate needs right answers, and vectors ('${embedding.output}') have none: give all rows with --calibrate, and judge on those that --rows leaves out`,
      );
    }
    if (output === undefined) {
      throw new CliError(
        `'${evaluate}' is labelled, but no output of model '${target.folder.name}' has a score for each class`,
      );
    }
    const classes = { ...output, names: namesOf(output, metadataLabels, labelled) };
    return { calibration, judged: labelled, kind: 'labelled', classes, embedding };
  }
  const classes = output === undefined ? undefined : { ...output, names: namesOf(output, metadataLabels, undefined) };
  if (given === undefined || calibration === undefined) {
    return {
      calibration,
      judged: await makeUpData(base, '--calibrate or --evaluate'),
      kind: 'made-up',
      classes,
      embedding,
    };
  }
  const heldOut = rest(given, rows);
  if (heldOut.count < MIN_HELD_OUT)
    return { calibration, judged: calibration, kind: 'calibration', classes, embedding };
  return { calibration, judged: spread(heldOut, MAX_HELD_OUT), kind: 'held-out', classes, embedding };
}

/** The labels that an export may leave in the file: names, separated by commas. */
function labelsOf(properties: readonly { readonly key: string; readonly value: string }[]): string[] | undefined {
  return properties.find(({ key }) => key === 'labels')?.value.split(',');
}

/** @throws CliError where the model has no output of that name */
function embeddingOf({ signature }: Contender, { text }: Target, name: string | undefined): Embedding | undefined {
  const { inputs, outputs } = signature;
  if (name !== undefined && !outputs.some((output) => output.name === name)) {
    throw new CliError(
      `--embedding ${name}: the model has no such output, but ${outputs.map((each) => each.name).join(', ')}`,
    );
  }
  const vector = name === undefined || name === text?.vector?.name ? text?.vector : { name };
  return vector && new Embedding(vector, inputs);
}

/** Class names from the configuration, otherwise from the ONNX file, otherwise from the folders of the data if their number fits. */
function namesOf(
  { size, names }: ClassOutput,
  metadata: readonly string[],
  data: Dataset | undefined,
): readonly string[] {
  if (names.length > 0) return names;
  if (metadata.length === size) return metadata;
  if (data?.classes === undefined) return [];
  if (data.classes.length === size) return data.classes;
  throw new CliError(
    `'${data.source}' has ${data.classes.length} classes, the model ${size}, without names to match them: set label_filename in the model's configuration`,
  );
}
