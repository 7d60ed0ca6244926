import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { findRanges, makeCandidate, operatorsOf, sourceOf, unknownNodes } from '../compare/candidates.ts';
import { compare } from '../compare/comparison.ts';
import { Contender, type ContenderSource, checkSameInterface, type RunnerEnvironment } from '../compare/contender.ts';
import type { GateLimits } from '../compare/gates.ts';
import { recordGolden } from '../compare/golden-record.ts';
import { shownRows } from '../compare/page/page.ts';
import { holdTraffic, nextVersion, publish } from '../compare/publish.ts';
import { publishedOf } from '../compare/published.ts';
import type { Report } from '../compare/report.ts';
import { type Dataset, ofOneShape, type Sample, spread } from '../compare/sample.ts';
import { findTarget, requireVersions, type Target } from '../compare/target.ts';
import { readOnnxModel } from '../compress/onnx/model-file.ts';
import { formatTechnique, parseTechnique, type Technique } from '../compress/technique.ts';
import { REPORT_FILE } from '../gateway/repository/version-report.ts';
import { MAILBOX_DIRECTORY } from '../mailbox-directory.ts';
import { CliError } from './cli-error.ts';
import { type DataFlags, openData } from './compress-data.ts';
import { dataModelOf, expected } from './compress-shared.ts';
import { formatOutcome } from './compress-table.ts';
import { Interruption } from './interruption.ts';
import { PhaseProgress } from './phase-progress.ts';
import { picturesOf } from './pictures.ts';
import { PAGE_FILE, writeReport } from './report-directory.ts';
import { checkReportFolder } from './report-folder.ts';

export interface CompressFlags extends GateLimits, DataFlags {
  readonly modelRepository: string;
  readonly version?: string;
  readonly to?: readonly string[];
  readonly with?: readonly string[];
  /** Nodes that `int8` leaves in float. */
  readonly keep?: readonly string[];
  readonly report?: string;
  /** The candidate that becomes a version. */
  readonly publish?: string;
  readonly json?: boolean;
}

export interface Invocation {
  readonly version: string;
  /** As it was typed, for the report. */
  readonly command: string;
}

/**
 * Makes smaller candidates of a model, compares them with it, and says which of them pass. Returns the exit code: 0 where the one
 * to publish did, or any where none is to be published.
 * @throws CliError where it cannot be done
 */
export async function compressModel(model: string, flags: CompressFlags, invocation: Invocation): Promise<number> {
  using interruption = new Interruption();
  const progress = new PhaseProgress();
  const work = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-compress-'));
  const run = new CompressRun(model, flags, { invocation, progress, work, signal: interruption.signal });
  try {
    return await run.run();
  } catch (error) {
    progress.end();
    if (interruption.exitCode === undefined) throw expected(error);
    process.stderr.write('interrupted: nothing was written\n');
    return interruption.exitCode;
  } finally {
    await run.close();
    await fs.rm(work, { recursive: true, force: true });
  }
}

interface RunContext {
  readonly invocation: Invocation;
  readonly progress: PhaseProgress;
  /** Temporary folder for the candidates, removed when the command ends. */
  readonly work: string;
  readonly signal: AbortSignal;
}

/** Golden rows to record for a published version. */
const GOLDEN_ROWS = 32;

class CompressRun {
  readonly #model: string;
  readonly #flags: CompressFlags;
  readonly #context: RunContext;
  readonly #environment: RunnerEnvironment = { env: process.env, mailboxDirectory: MAILBOX_DIRECTORY };
  readonly #contenders: Contender[] = [];

  constructor(model: string, flags: CompressFlags, context: RunContext) {
    this.#model = model;
    this.#flags = flags;
    this.#context = context;
    context.signal.addEventListener('abort', () => void this.close());
  }

  async run(): Promise<number> {
    const { modelRepository, version, publish: wanted, report: directory } = this.#flags;
    const techniques = this.#techniques();
    const target = await findTarget(modelRepository, this.#model, version);
    const names = [...techniques.map(formatTechnique), ...this.#given().map(({ name }) => name)];
    checkNames(names, wanted);
    if (directory !== undefined) await checkReportFolder(directory, REPORT_FILE);
    if (wanted !== undefined) requireVersions(target);
    // Refuse a publication that must fail before minutes of work.
    const hold = wanted === undefined ? undefined : await holdTraffic(target, await nextVersion(target));
    this.#progress('opening the model');
    const base = await this.#open(await sourceOf('base', `version ${target.version}`, target.modelPath), target);
    const onnx = await readOnnxModel(target.modelPath);
    const [unknown] = unknownNodes(onnx, this.#flags.keep ?? []);
    if (unknown !== undefined) {
      throw new CliError(`--keep ${unknown}: the model has no such node: the report names them, in its details`);
    }
    const data = await openData(this.#flags, base, target, onnx.metadataProps);
    const notMade = await this.#makeCandidates(onnx, techniques, data.calibration, target);
    for (const { name, file } of this.#given()) {
      const contender = await this.#open(await sourceOf('file', name, file), target);
      checkSameInterface(base.session.info, contender.session.info, file);
    }
    const comparison = {
      target,
      contenders: this.#contenders,
      classes: data.classes,
      embedding: data.embedding,
      data: data.judged,
      dataKind: data.kind,
      calibration:
        data.calibration === undefined ? undefined : { source: data.calibration.source, rows: data.calibration.count },
      notMade,
      limits: this.#flags,
      operatorsOf: (contender: Contender) => operatorsOf(contender, this.#environment),
      tensorgate: this.#context.invocation.version,
      command: this.#context.invocation.command,
    };
    const report = await compare(comparison, this.#context.signal, (what, done, total) =>
      this.#progress(what, done, total),
    );
    this.#context.progress.end();
    if (this.#flags.json === true) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
    else process.stdout.write(formatOutcome(report));
    if (directory !== undefined) {
      this.#progress('writing the report');
      const pictures = await picturesOf(shownRows(report), data.judged, await dataModelOf(base, target));
      await writeReport(directory, report, this.#contenders, pictures);
      this.#context.progress.end();
      this.#print(`report: ${path.join(directory, PAGE_FILE)}`);
    }
    if (wanted === undefined || hold === undefined) return report.candidates.some(({ passed }) => passed) ? 0 : 1;
    return this.#publish(wanted, { target, report, samples: await readAll(spread(data.judged, GOLDEN_ROWS)) });
  }

  /** Ends every process. Safe at any time, and more than once. */
  async close(): Promise<void> {
    await Promise.all(this.#contenders.map((contender) => contender[Symbol.asyncDispose]()));
  }

  #techniques(): Technique[] {
    const { to, calibrate, with: given = [] } = this.#flags;
    if (to !== undefined) {
      const techniques = to.map(parseTechnique);
      if (calibrate !== undefined || !techniques.some(({ kind }) => kind === 'int8')) return techniques;
      throw new CliError(
        'int8 is calibrated on real inputs: give some with --calibrate, a folder of images, a .npz or a .jsonl file',
      );
    }
    if (calibrate !== undefined) return [{ kind: 'int8' }];
    return given.length > 0 ? [] : [{ kind: 'fp16-weights' }];
  }

  /** The models that are made elsewhere, by the names of their files. */
  #given(): { readonly name: string; readonly file: string }[] {
    return (this.#flags.with ?? []).map((file) => ({ name: path.basename(file).replace(/\.onnx$/i, ''), file }));
  }

  async #open(source: ContenderSource, target: Target): Promise<Contender> {
    this.#context.signal.throwIfAborted();
    const contender = await Contender.open(source, target, this.#environment);
    this.#contenders.push(contender);
    if (this.#context.signal.aborted) await contender[Symbol.asyncDispose]();
    this.#context.signal.throwIfAborted();
    return contender;
  }

  /** @returns the techniques that are not for this model, with the reasons. */
  async #makeCandidates(
    onnx: Awaited<ReturnType<typeof readOnnxModel>>,
    techniques: readonly Technique[],
    calibration: Dataset | undefined,
    target: Target,
  ): Promise<Report['notMade']> {
    const [base] = this.#contenders;
    if (base === undefined) throw new TypeError('candidates before their base');
    const { signal, work } = this.#context;
    const needsRanges = techniques.some(({ kind }) => kind === 'int8');
    const ranges =
      needsRanges && calibration !== undefined
        ? await findRanges(onnx, base, calibration, {
            ...this.#environment,
            signal,
            progress: (done) => this.#progress('calibrating', done, calibration.count),
          })
        : undefined;
    const keep = new Set(this.#flags.keep);
    const notMade: { name: string; reason: string }[] = [];
    for (const technique of techniques) {
      const name = formatTechnique(technique);
      this.#progress(`making ${name}`);
      signal.throwIfAborted();
      try {
        await this.#open(await makeCandidate(onnx, technique, { ranges, keep }, work), target);
      } catch (error) {
        if (signal.aborted) throw error;
        const cause = expected(error);
        if (!(cause instanceof CliError)) throw error;
        notMade.push({ name, reason: cause.message });
      }
    }
    return notMade;
  }

  /** @returns the exit code */
  async #publish(
    wanted: string,
    {
      target,
      report,
      samples,
    }: { readonly target: Target; readonly report: Report; readonly samples: readonly Sample[] },
  ): Promise<number> {
    const candidate = report.candidates.find(({ name }) => name === wanted);
    const contender = this.#contenders.find(({ source }) => source.kind !== 'base' && source.name === wanted);
    if (candidate === undefined || contender === undefined || !candidate.passed) {
      const why = candidate === undefined ? 'was not made' : 'did not pass';
      process.stderr.write(`error: ${wanted} ${why}, and is not published\n`);
      return 1;
    }
    this.#progress('publishing');
    const base = { version: target.version, sha256: report.base.sha256 };
    const version = await nextVersion(target);
    const hold = await holdTraffic(target, version);
    const golden = await recordGolden(contender, ofOneShape(samples), {
      madeBy: this.#context.invocation.command,
      base,
    });
    const published = publishedOf(candidate, report, version);
    this.#context.signal.throwIfAborted();
    const directory = await publish(target, {
      version,
      files: contender.source.files,
      golden,
      report: { ...report, published },
      hold,
    });
    this.#context.progress.end();
    this.#print(`published: ${directory} (${wanted}), without traffic: ${hold.text}`);
    return 0;
  }

  #progress(what: string, done?: number, total?: number): void {
    this.#context.progress.show(what, done, total);
  }

  /** Beside a report on stdout, everything else goes to stderr. */
  #print(text: string): void {
    (this.#flags.json === true ? process.stderr : process.stdout).write(`${text}\n`);
  }
}

function checkNames(names: readonly string[], wanted: string | undefined): void {
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw new CliError(`two candidates are called '${twice}': name the file otherwise`);
  if (wanted !== undefined && !names.includes(wanted)) {
    throw new CliError(`--publish ${wanted}: there is no such candidate, but ${names.join(', ')}`);
  }
}

async function readAll(dataset: Dataset): Promise<Sample[]> {
  return Promise.all(Array.from({ length: dataset.count }, (_, index) => dataset.read(index)));
}
