/**
 * A candidate becomes a version of its model, which appears at once and takes no traffic: who asks for no version is answered by
 * the version that answered before.
 *
 * PUB-1: readers of the repository see the new version whole or not at all.
 * PUB-2: before it is seen, the configuration says that others answer. Without a split the highest READY version would.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../error-message.ts';
import { parseModelConfig } from '../gateway/repository/config/config-file.ts';
import { type ModelConfig, ModelConfigError } from '../gateway/repository/config/model-config.ts';
import { chooseVersions } from '../gateway/repository/config/version-policy.ts';
import { editYaml } from '../gateway/repository/config/yaml-document.ts';
import { readFolder } from '../gateway/repository/model-repository.ts';
import { REPORT_FILE } from '../gateway/repository/version-report.ts';
import { decodeText } from '../wire/text-encoding.ts';
import { type GoldenFiles, writeGolden } from './golden-record.ts';
import type { Report } from './report.ts';
import { defaultOf, type Target } from './target.ts';

/** It would take traffic, or cannot be put there; the text says what to do. */
export class PublishError extends Error {}

/** The change of the configuration that keeps traffic from a new version. */
export interface TrafficHold {
  /** The configuration to write before, if any. */
  readonly write: { readonly file: string; readonly text: string } | undefined;
  /** Sentence for people. */
  readonly text: string;
}

export async function nextVersion({ folder }: Target): Promise<string> {
  const { versions } = await readFolder(folder.directory, folder.name);
  return String(BigInt(versions.at(-1) ?? 0) + 1n);
}

/**
 * How traffic stays where it is when `version` appears.
 * @throws PublishError where the configuration cannot say so, or says otherwise
 */
export async function holdTraffic({ folder, config }: Target, version: string): Promise<TrafficHold> {
  const { configPath, directory, versions, name } = folder;
  const { split } = config.tensorgate.traffic;
  const serving =
    split === undefined ? [defaultOf(config, chooseVersions(versions, config.version_policy))] : sharesOf(split);
  const chosen = chooseVersions([...versions, version], config.version_policy);
  const lost = serving.find((each) => versions.includes(each) && !chosen.includes(each));
  if (lost !== undefined) {
    const text = `${configPath}: its version_policy would put version ${lost} out, which answers today, when version ${version} is there`;
    throw new PublishError(`${text}: say version_policy: {all: {}}, or name the versions with specific`);
  }
  const isServed = chosen.includes(version);
  const asleep = isServed ? '' : `; it is not loaded before version_policy names it`;
  if (split !== undefined) {
    if ((split[version] ?? 0) > 0) {
      throw new PublishError(
        `${configPath}: tensorgate.traffic.split gives version ${version} a share already: take it out`,
      );
    }
    return { write: undefined, text: `tensorgate.traffic.split gives it no share${asleep}` };
  }
  if (path.extname(configPath ?? '') === '.pbtxt') {
    if (!isServed) return { write: undefined, text: 'it is not loaded before version_policy in config.pbtxt names it' };
    const served = versions.join(', ');
    throw new PublishError(
      `${configPath} cannot say how traffic is split, and version ${version} would take all of it: have it say version_policy: { specific: { versions: [${served}] } }, or make a config.yaml of it`,
    );
  }
  const held = new Map(serving.map((each) => [keyOf(each), 100]));
  const file = configPath ?? path.join(directory, 'config.yaml');
  const before = configPath === undefined ? '' : decodeText(await fs.readFile(configPath));
  const text = withSplit(file, before, held);
  checkConfig(text, file, name);
  return {
    write: { file, text },
    text: `tensorgate.traffic.split in ${path.basename(file)} keeps it with version ${serving.join(', ')}${asleep}`,
  };
}

/** As people write it: without quotes, where a number holds all digits. */
function keyOf(version: string): number | string {
  return Number.isSafeInteger(Number(version)) ? Number(version) : version;
}

function sharesOf(split: NonNullable<ModelConfig['tensorgate']['traffic']['split']>): string[] {
  return Object.entries(split).flatMap(([version, share]) => (share > 0 ? [version] : []));
}

const FRESH = `# Made when a version was published that is to take no traffic yet: without a split the highest version would answer.
`;

function withSplit(file: string, before: string, split: ReadonlyMap<number | string, number>): string {
  try {
    if (path.extname(file) !== '.json') {
      const edited = editYaml(before, ['tensorgate', 'traffic', 'split'], split);
      return before.trim() === '' ? FRESH + edited : edited;
    }
    const said = JSON.parse(before) as { readonly tensorgate?: { readonly traffic?: object } };
    const traffic = { ...said.tensorgate?.traffic, split: Object.fromEntries(split) };
    return `${JSON.stringify({ ...said, tensorgate: { ...said.tensorgate, traffic } }, undefined, 2)}\n`;
  } catch (error) {
    throw new PublishError(`${file}: no split can be added: ${messageOf(error)}`);
  }
}

function checkConfig(text: string, file: string, model: string): void {
  try {
    parseModelConfig({ text, name: file, form: 'yaml' }, model);
  } catch (error) {
    if (error instanceof ModelConfigError) throw new PublishError(`${file}: no split can be added: ${error.message}`);
    throw error;
  }
}

export interface Publication {
  readonly version: string;
  /** The ONNX file, and the external data that lies beside it. */
  readonly files: readonly string[];
  readonly golden: GoldenFiles;
  readonly report: Report;
  readonly hold: TrafficHold;
}

/** @returns the folder of the version. @throws PublishError where the version is there already */
export async function publish({ folder, config }: Target, publication: Publication): Promise<string> {
  const { version, files, golden, report, hold } = publication;
  const target = path.join(folder.directory, version);
  // Names that begin with a dot are no versions.
  const staged = path.join(folder.directory, `.${version}-${process.pid}`);
  let before: { readonly file: string; readonly text: string | undefined } | undefined;
  try {
    await fs.mkdir(staged);
    for (const [index, file] of files.entries()) {
      const name = index === 0 ? config.default_model_filename : path.basename(file);
      const place = path.join(
        staged,
        index === 0 ? name : path.join(path.dirname(config.default_model_filename), name),
      );
      await fs.mkdir(path.dirname(place), { recursive: true });
      await fs.copyFile(file, place);
    }
    await writeGolden(staged, golden);
    await fs.writeFile(path.join(staged, REPORT_FILE), `${JSON.stringify(report, undefined, 2)}\n`);
    if (hold.write !== undefined) {
      const { file, text } = hold.write;
      before = { file, text: await fs.readFile(file, 'utf8').catch(() => undefined) };
      await replaceFile(file, text);
    }
    // A folder that is there is not replaced: rename fails unless it is empty.
    await fs.rename(staged, target);
    return target;
  } catch (error) {
    if (before !== undefined) await putBack(before);
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    throw new PublishError(`${target} appeared meanwhile: run it again`, { cause: error });
  } finally {
    await fs.rm(staged, { recursive: true, force: true });
  }
}

async function putBack({ file, text }: { readonly file: string; readonly text: string | undefined }): Promise<void> {
  if (text === undefined) await fs.rm(file, { force: true });
  else await replaceFile(file, text);
}

/** PUB-1, for one file. */
async function replaceFile(file: string, text: string): Promise<void> {
  const partial = path.join(path.dirname(file), `.${path.basename(file)}-${process.pid}`);
  try {
    await fs.writeFile(partial, text);
    await fs.rename(partial, file);
  } finally {
    await fs.rm(partial, { force: true });
  }
}
