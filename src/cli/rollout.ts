import { setTimeout as sleep } from 'node:timers/promises';
import {
  type InferenceClient,
  InferenceError,
  type RolloutOptions,
  type RolloutState,
} from '../client/inference-client.ts';
import { CliError } from './cli-error.ts';
import { type ConnectionOptions, connectionOf } from './connection-options.ts';
import { withClient } from './server-connection.ts';
import { formatTable } from './table.ts';
import { toOneLine } from './terminal-text.ts';

export interface RolloutFlags extends ConnectionOptions, RolloutOptions {
  readonly to: string;
}

export interface StatusFlags extends ConnectionOptions {
  readonly json?: boolean;
}

/** The flags of the rollout, without the flags of the connection. */
function planOf(flags: RolloutFlags): Omit<RolloutFlags, keyof ConnectionOptions> {
  const { url: _u, deadlineMs: _d, tlsCa: _a, tlsCert: _c, tlsKey: _k, header: _h, ...plan } = flags;
  return plan;
}

/** Between looks at the server, in milliseconds. */
const LOOK_MS = 300;
/** If stderr is no terminal, progress is printed at this interval. */
const REMIND_MS = 10_000;
/** How long a server may be away while it is followed: as long as a large model takes to load. */
const PATIENCE_MS = 300_000;

/** Starts a rollout, or attaches to the running one, and follows it to its end. Returns the exit code: 0 when promoted. */
export async function rollOut(model: string, flags: RolloutFlags): Promise<number> {
  const connection = connectionOf(flags);
  const { to, ...options } = planOf(flags);
  const started = await withClient(connection, (client) => client.startRollout(model, to, options));
  process.stdout.write(describePlan(started));
  if (options.dryRun === true) {
    process.stdout.write(started.evidence === null ? 'nothing was changed\n' : `it runs already: ${started.detail}\n`);
    return 0;
  }
  if (isOver(started)) return conclude(started, new Reporter());
  process.stderr.write(
    `Ctrl-C leaves it to the server: the same command follows it again, and 'tensorgate rollout abort ${model}' ends it\n`,
  );
  return follow(model, connection);
}

/** Follows the rollout of a model until it is over, also across restarts of the server. */
async function follow(model: string, connection: ConnectionOptions): Promise<number> {
  const reporter = new Reporter();
  let answeredAt = performance.now();
  return withClient(connection, async (client) => {
    for (;;) {
      const state = await stateOf(client, model);
      if (state === undefined) {
        if (performance.now() - answeredAt > PATIENCE_MS) {
          const text = `no answer from ${connection.url} for ${PATIENCE_MS / 1000} s: the rollout goes on when the server does; run this again to follow it`;
          throw new CliError(text);
        }
        reporter.wait(`no answer from ${connection.url}: trying again`);
      } else {
        answeredAt = performance.now();
        if (isOver(state)) return conclude(state, reporter);
        reporter.print(state);
        reporter.wait(describeWait(state));
      }
      await sleep(LOOK_MS);
    }
  });
}

/** `undefined` where the server does not answer at the moment. */
async function stateOf(client: InferenceClient, model: string): Promise<RolloutState | undefined> {
  try {
    const [state] = await client.rollouts(model);
    if (state === undefined)
      throw new CliError(`the server knows of no rollout of '${model}' any more: it was forgotten`);
    return state;
  } catch (error) {
    const isAway = error instanceof InferenceError && ['UNAVAILABLE', 'DEADLINE_EXCEEDED'].includes(error.status);
    if (isAway) return undefined;
    throw error;
  }
}

function conclude(state: RolloutState, reporter: Reporter): number {
  reporter.print(state);
  const { model, from, to, stage, inForce } = state;
  if (stage !== 'promoted') {
    process.stdout.write(`version ${to} of ${model} was rolled back, and version ${from} answers\n`);
    return 1;
  }
  process.stdout.write(`version ${to} of ${model} answers\n`);
  if (inForce) {
    process.stdout.write(
      `the server keeps that in its state directory. To have it in the repository: tensorgate.traffic.split: {${to}: 100} in the configuration of ${model}\n`,
    );
  }
  return 0;
}

function isOver({ stage }: RolloutState): boolean {
  return stage === 'promoted' || stage === 'rolled_back';
}

/** Prints what is new of a rollout, and what it waits for. */
class Reporter {
  readonly #isTerminal = process.stderr.isTTY === true;
  /** The events of the last look; times cannot order them, for the server's clock may be set back. */
  #printed: ReadonlySet<string> = new Set();
  #remindedAt = performance.now();
  #line = '';

  print({ events }: RolloutState): void {
    const keyOf = ({ atMs, text }: (typeof events)[number]): string => `${atMs} ${text}`;
    for (const event of events) {
      if (this.#printed.has(keyOf(event))) continue;
      this.#erase();
      process.stdout.write(`${timeOf(event.atMs)}  ${toOneLine(event.text)}\n`);
    }
    this.#printed = new Set(events.map(keyOf));
  }

  wait(text: string): void {
    if (this.#isTerminal) {
      this.#erase();
      this.#line = `          ${toOneLine(text)}`.slice(0, columnsOf(process.stderr) - 1);
      process.stderr.write(this.#line);
    } else if (performance.now() - this.#remindedAt >= REMIND_MS) {
      this.#remindedAt = performance.now();
      process.stderr.write(`${toOneLine(text)}\n`);
    }
  }

  #erase(): void {
    if (this.#line !== '') process.stderr.write('\r\u001b[K');
    this.#line = '';
  }
}

function describePlan(state: RolloutState): string {
  const { model, from, to, shadowShare, comparisons, steps, holdMs, requests } = state;
  const { minAgreement, maxErrorRate, maxP99Ratio, maxDifference, expectations } = state;
  const measure = maxDifference === undefined ? 'rows' : `comparisons, within ${maxDifference},`;
  return [
    `${model}: from version ${from} to version ${to}`,
    `  copies of ${percent(shadowShare)} of the requests, until ${comparisons} are compared; then ${steps.join(', ')} % of the requests,`,
    `  each for ${formatDuration(holdMs)} and ${requests} answers at least`,
    `  while ${percent(minAgreement)} of ${measure} agree, at most ${percent(maxErrorRate)} more fail, and p99 is at most ${maxP99Ratio} times the p99 of version ${from}`,
    `  (other limits are from ${expectations})`,
    '',
  ].join('\n');
}

function describeWait({ stage, percent: share, detail, evidence }: RolloutState): string {
  const where = stage === 'canary' ? `canary at ${share} %` : stage;
  const shed =
    stage === 'shadow' && evidence !== null && evidence.shedCopies > 0 ? `, ${evidence.shedCopies} shed` : '';
  return `${where}: ${detail}${shed}`;
}

/** Prints how rollouts stand. Returns the exit code. @param model of all models where `undefined` */
export async function showRollouts(model: string | undefined, flags: StatusFlags): Promise<number> {
  const rollouts = await withClient(flags, (client) => client.rollouts(model ?? ''));
  if (flags.json === true) process.stdout.write(`${JSON.stringify(rollouts)}\n`);
  else if (rollouts.length === 0) process.stderr.write(`no rollout is known at ${flags.url}\n`);
  else if (model === undefined) {
    const rows = rollouts.map((state) => [
      state.model,
      state.from,
      state.to,
      state.stage,
      `${state.percent} %`,
      state.inForce ? state.detail : `${state.detail} (not in force any more)`,
    ]);
    process.stdout.write(formatTable(['model', 'from', 'to', 'stage', 'share', 'detail'], rows));
  } else {
    for (const state of rollouts) {
      process.stdout.write(describePlan(state));
      new Reporter().print(state);
      if (!isOver(state)) process.stdout.write(`${describeWait(state)}\n`);
    }
  }
  return 0;
}

/** Rolls back the rollout that runs. Returns the exit code. */
export async function abortRollout(model: string, flags: ConnectionOptions): Promise<number> {
  const { from, to } = await withClient(flags, (client) => client.abortRollout(model));
  process.stdout.write(`version ${to} of ${model} was rolled back, and version ${from} answers\n`);
  return 0;
}

/** Forgets the rollout that ended. Returns the exit code. */
export async function forgetRollout(model: string, flags: ConnectionOptions): Promise<number> {
  await withClient(flags, (client) => client.forgetRollout(model));
  process.stdout.write(`the requests of ${model} are spread as its configuration says\n`);
  return 0;
}

/** Some terminals say 0. */
function columnsOf({ columns }: NodeJS.WriteStream): number {
  return columns > 0 ? columns : 80;
}

function timeOf(atMs: number): string {
  return new Date(atMs).toTimeString().slice(0, 8);
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(3))} %`;
}

function formatDuration(ms: number): string {
  if (ms % 60_000 === 0 && ms > 0) return `${ms / 60_000} min`;
  return ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`;
}
