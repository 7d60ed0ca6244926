/** Problems of a repository, found without serving it: each model's ONNX file is opened in a runner, and never run. */

import os from 'node:os';
import path from 'node:path';
import { messageOf } from '../../../error-message.ts';
import { Mailbox } from '../../../worker/mailbox.ts';
import { ANY_OUTPUT_BYTES, type SessionInfo, type SessionSpec } from '../../../worker/protocol.ts';
import { LoadError, RunnerProcess } from '../../dispatch/runner-process.ts';
import { checkCallable } from '../../models/message-needs.ts';
import { type PlanDefaults, planModel } from '../../models/model-plan.ts';
import type { ModelPlan } from '../../models/planned-version.ts';
import { readModelConfig } from '../../repository/config/config-file.ts';
import { ModelConfigError } from '../../repository/config/model-config.ts';
import { absent, readEntries } from '../../repository/disk.ts';
import { explainLoadFailure } from '../../repository/model-file.ts';
import { type ModelFiles, NO_FILES, readModelFiles } from '../../repository/model-files.ts';
import {
  listNames,
  looseProblem,
  type ModelFolder,
  type RepositoryNames,
  readModel,
  vacancyOf,
} from '../../repository/model-repository.ts';
import { type EnsembleGraph, nameOfStep, readEnsembleGraph } from '../../repository/signature/ensemble-graph.ts';
import { resolveEnsemble } from '../../repository/signature/ensemble-signature.ts';
import { type ModelSignature, readLabels, resolveSignature } from '../../repository/signature/model-signature.ts';
import { resolveSequences } from '../../repository/signature/sequence-signature.ts';
import { readSignatureSources } from '../../repository/signature/signature-sources.ts';
import { isVersionName, VERSION_RANGE } from '../../repository/version-number.ts';
import { resolveWarmUps } from '../../repository/warm-up-sample.ts';

export interface RepositoryFinding {
  /** `error`: the version, or the model, would not be served. */
  readonly level: 'error' | 'warning';
  /** Absent where it is about the repository as a whole. */
  readonly model?: string;
  /** Absent where it is about the model as a whole. */
  readonly version?: string;
  /** With the file, line and column that it is about, where there are such. */
  readonly text: string;
}

export interface RepositoryReport {
  readonly models: number;
  /** Those that the models' policies choose. */
  readonly versions: number;
  readonly findings: readonly RepositoryFinding[];
}

/** Opening a model on the CPU shows everything that is compared; the doctor checks GPUs. */
const DEFAULTS: PlanDefaults = {
  executionProviders: ['cpu'],
  strictExecutionProviders: false,
  mailboxDirectory: os.tmpdir(),
  loadLimitMs: 120_000,
  maxRunMs: 600_000,
  maxOutputBytes: ANY_OUTPUT_BYTES,
  cores: 1,
  allowsCode: true,
};

/**
 * @param env what the runners see.
 * @throws RepositoryError where the directory does not exist or cannot be read.
 */
export async function checkRepository(directory: string, env: NodeJS.ProcessEnv): Promise<RepositoryReport> {
  const check = new RepositoryCheck(env);
  const names = await listNames(directory);
  check.reportRoot(directory, names);
  const folders = await Promise.all(names.models.map((name) => readModel(directory, name)));
  for (const folder of folders) await check.readFolder(folder);
  await check.openModels();
  await check.compareEnsembles();
  return { models: folders.length, versions: check.versions, findings: check.findings };
}

class RepositoryCheck {
  readonly findings: RepositoryFinding[] = [];
  readonly #env: NodeJS.ProcessEnv;
  /** By model, in the order of the versions; none where the configuration is wrong. */
  readonly #plans = new Map<string, readonly ModelPlan[]>();
  /** Signature of a valid model, as clients see it. */
  readonly #signatures = new Map<ModelPlan, ModelSignature>();

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  get versions(): number {
    return [...this.#plans.values()].reduce((sum, plans) => sum + plans.length, 0);
  }

  reportRoot(directory: string, names: RepositoryNames): void {
    const { foreign, loose } = names;
    const vacancy = vacancyOf(directory, names);
    if (vacancy !== undefined) this.findings.push({ level: 'error', text: vacancy });
    for (const name of foreign) {
      const text = `${path.join(directory, name)} is ignored: it is not a model`;
      this.findings.push({ level: 'warning', model: name, text });
    }
    for (const name of loose) {
      const text = looseProblem(directory, name);
      if (vacancy === undefined) {
        this.findings.push({ level: 'warning', model: path.basename(name, '.onnx'), text });
      }
    }
  }

  async readFolder(folder: ModelFolder): Promise<void> {
    const { name: model, directory, problem } = folder;
    for (const stray of await strayVersions(directory)) {
      const text = `${path.join(directory, stray)} is not served: a version is a decimal number ${VERSION_RANGE}`;
      this.findings.push({ level: 'warning', model, text });
    }
    this.#plans.set(model, []);
    if (problem !== undefined) this.findings.push({ level: 'error', model, text: problem });
    await this.#attempt({ model }, async () => {
      const { warnings } = await readModelConfig(folder.configPath, model);
      for (const text of warnings) this.findings.push({ level: 'warning', model, text });
      if (problem !== undefined) return;
      const plans = await planModel(folder, DEFAULTS);
      this.#plans.set(model, plans);
      const served = plans.map(({ ref }) => ref.version);
      for (const { what, version } of namedVersions(plans[0])) {
        if (served.includes(version)) continue;
        const text = `${folder.configPath}: ${what} names version ${version}, but those that are served are ${served.join(', ')}`;
        this.findings.push({ level: 'error', model, text });
      }
    });
  }

  async openModels(): Promise<void> {
    const plans = [...this.#plans.values()].flat().filter(({ config }) => config.ensemble_scheduling === undefined);
    for (const plan of plans) {
      try {
        if (plan.problem !== undefined) throw new ModelConfigError(plan.problem);
        const info = await openModel(plan, this.#env);
        await this.#attempt(plan.ref, async () => {
          const { config, directory, sessions } = plan;
          const sources = await readSignatureSources(info, config, { directory, modelPath: sessions[0]?.modelPath });
          const signature = resolveSignature(info, config, sources);
          const sequences = resolveSequences(signature, config, sources.files);
          const client = sequences?.client ?? signature;
          resolveWarmUps(signature, client, config, sources.files);
          checkCallable(plan.ref.name, client, plan);
          this.#signatures.set(plan, client);
        });
      } catch (error) {
        this.#report(plan.ref, error);
        await this.#checkLabels(plan);
      }
    }
  }

  /** Ensembles may be steps of ensembles: each is compared when those below it were. */
  async compareEnsembles(): Promise<void> {
    const files = await this.#ensembleFiles();
    const done = new Set<ModelPlan>();
    const visit = (plan: ModelPlan, trail: readonly ModelPlan[]): void => {
      if (trail.includes(plan)) {
        const circle = [...trail.slice(trail.indexOf(plan)), plan].map(({ ref }) => `'${ref.name}'`);
        throw new ModelConfigError(`ensembles are steps of each other: ${circle.join(' -> ')}`);
      }
      if (done.has(plan)) return;
      const graph = readEnsembleGraph(plan.config);
      const steps = graph.steps.map((_, step) => this.#planOfStep(graph, step));
      for (const step of steps) if (step.config.ensemble_scheduling !== undefined) visit(step, [...trail, plan]);
      done.add(plan);
      const signatures = steps.flatMap((step) => this.#signatures.get(step) ?? []);
      if (signatures.length === steps.length) {
        this.#signatures.set(plan, resolveEnsemble(plan.config, graph, signatures, files.get(plan) ?? NO_FILES));
        return;
      }
      const broken = steps.find((step) => !this.#signatures.has(step))?.ref;
      const text = `not compared with the models of its steps: model '${broken?.name}' version ${broken?.version} has errors of its own`;
      this.findings.push({ level: 'warning', model: plan.ref.name, version: plan.ref.version, text });
    };
    for (const plan of [...this.#plans.values()].flat()) {
      if (plan.config.ensemble_scheduling === undefined) continue;
      await this.#attempt(plan.ref, () => visit(plan, []));
      done.add(plan);
    }
  }

  #planOfStep(graph: EnsembleGraph, step: number): ModelPlan {
    const { model = '', version = '' } = graph.steps[step] ?? {};
    const plans = this.#plans.get(model);
    if (plans === undefined) {
      const known = [...this.#plans.keys()].map((name) => `'${name}'`).join(', ');
      throw new ModelConfigError(`${nameOfStep(graph, step)}: there is no such model here, but ${known}`);
    }
    const plan = version === '' ? plans.at(-1) : plans.find(({ ref }) => ref.version === version);
    if (plan !== undefined) return plan;
    const served = plans.map(({ ref }) => ref.version).join(', ');
    const text =
      version === '' ? 'the model has errors of its own' : `version ${version} is not served, but ${served || 'none'}`;
    throw new ModelConfigError(`${nameOfStep(graph, step)}: ${text}`);
  }

  async #ensembleFiles(): Promise<ReadonlyMap<ModelPlan, ModelFiles>> {
    const ensembles = [...this.#plans.values()].flat().filter(({ config }) => config.ensemble_scheduling !== undefined);
    const read = async (plan: ModelPlan) => [plan, await readModelFiles(plan.directory, plan.config)] as const;
    return new Map(await Promise.all(ensembles.map(read)));
  }

  /** Labels are checked without the ONNX file where that does not load. */
  async #checkLabels({ ref, config, directory }: ModelPlan): Promise<void> {
    const files = await readModelFiles(directory, config);
    for (const { label_filename: file } of config.output) await this.#attempt(ref, () => void readLabels(files, file));
  }

  async #attempt(
    subject: { readonly name?: string; readonly model?: string; readonly version?: string },
    act: () => void | Promise<void>,
  ): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#report({ name: subject.name ?? subject.model ?? '', version: subject.version }, error);
    }
  }

  #report({ name, version }: { readonly name: string; readonly version?: string | undefined }, error: unknown): void {
    const problems = error instanceof ModelConfigError ? error.problems : [messageOf(error)];
    for (const text of problems) {
      this.findings.push({ level: 'error', model: name, ...(version !== undefined && { version }), text });
    }
  }
}

/** Directories that look as if they were meant to be versions. */
async function strayVersions(directory: string): Promise<string[]> {
  const entries = (await readEntries(directory).catch(absent)) ?? [];
  return entries
    .filter((entry) => entry.isDirectory() && /^[vV]?\d/.test(entry.name) && !isVersionName(entry.name))
    .map(({ name }) => name);
}

/** The versions that a configuration counts on. */
function namedVersions(plan: ModelPlan | undefined): { what: string; version: string }[] {
  if (plan === undefined) return [];
  const { labels, traffic } = plan.config.tensorgate;
  return [
    ...Object.entries(labels).map(([label, version]) => ({
      what: `tensorgate.labels.${label}`,
      version: String(version),
    })),
    ...Object.keys(traffic.split ?? {}).map((version) => ({ what: 'tensorgate.traffic.split', version })),
    ...(traffic.shadow === undefined
      ? []
      : [{ what: 'tensorgate.traffic.shadow', version: String(traffic.shadow.version) }]),
  ];
}

/** Whatever devices this machine has, the tensors of a model are the same. */
function onCpu(spec: SessionSpec): SessionSpec {
  return spec.step === undefined ? { ...spec, providers: ['cpu'], strictProviders: false } : spec;
}

/** Opens one session in a runner of its own, which a bad model may take down. @throws LoadError */
async function openModel(
  { ref, sessions, mailboxDirectory, loadLimitMs }: ModelPlan,
  env: NodeJS.ProcessEnv,
): Promise<SessionInfo> {
  const [spec] = sessions;
  if (spec === undefined) throw new TypeError('a model without sessions');
  const runner = RunnerProcess.start(`check ${ref.name}:${ref.version}`, env);
  const mailbox = Mailbox.create(mailboxDirectory);
  try {
    return await runner.load(0, mailbox.path, onCpu(spec), loadLimitMs);
  } catch (error) {
    if (!(error instanceof LoadError)) throw error;
    throw new LoadError(await explainLoadFailure(spec.modelPath, error.message));
  } finally {
    mailbox.close();
    runner.kill('the model was looked at');
    await runner.ended;
  }
}
