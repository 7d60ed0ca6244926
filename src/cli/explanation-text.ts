/** A `ModelExplanation` as people read it: a section for each question, the shortest answer first. */

import { styleText } from 'node:util';
import type {
  ExplainedBatching,
  ExplainedCost,
  ExplainedLimits,
  ExplainedProof,
  ExplainedTensor,
  ModelExplanation,
  SettingOrigin,
} from '../wire/model-explanation.ts';
import { alignedLines } from './table.ts';
import { toOneLine } from './terminal-text.ts';

export function formatExplanation(explanation: ModelExplanation): string {
  const { model, version, state, reason, file, notes, unknown } = explanation;
  const subject = version === '' ? model : `${model} version ${version}`;
  const head = [styleText('bold', toOneLine(`${subject}: ${state}`)), `  ${toOneLine(reason)}`];
  if (file !== null) head.push(`  ${toOneLine(file)}`);
  for (const note of notes) head.push(`  ${toOneLine(note)}`);
  const sections = [
    section('signature', signatureRows(explanation)),
    section('batching', explanation.batching === null ? [] : batchingRows(explanation.batching)),
    section('steps', explanation.steps.map(stepRow)),
    section('execution', executionRows(explanation)),
    section('cost of a batch', costRows(explanation.costs)),
    section('limits of a request', limitRows(explanation)),
    section('versions', versionRows(explanation)),
    section(
      'settings that decided it',
      explanation.settings.map(({ name, value, origin }) => [name, value, describeOrigin(origin)]),
    ),
    section(
      'not known',
      unknown.map((text) => [text]),
    ),
  ];
  return `${[head.filter((line) => line.trim() !== '').join('\n'), ...sections.filter((text) => text !== '')].join('\n\n')}\n`;
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  return [styleText('bold', title), ...alignedLines(rows).map((line) => `  ${line}`)].join('\n');
}

function signatureRows({ inputs, outputs, fixed_inputs: fixed }: ModelExplanation): string[][] {
  const row = (kind: string, tensor: ExplainedTensor): string[] => {
    const { name, datatype, axes, shape, labels } = tensor;
    const notes = [describeBatchAxis(tensor), labels === null ? '' : `${labels.count} labels (${labels.file})`];
    return [kind, name, datatype, `[${(axes ?? shape).join(', ')}]`, notes.filter((note) => note !== '').join('; ')];
  };
  return [
    ...inputs.map((tensor) => row('input', tensor)),
    ...fixed.map((name) => ['input', name, '', '', 'keeps the default of the model']),
    ...outputs.map((tensor) => row('output', tensor)),
  ];
}

function describeBatchAxis({ batch_axis: axis }: ExplainedTensor): string {
  if (axis === null) return '';
  return axis === 'shared' ? 'one value for all rows of a batch' : `batch axis ${axis}`;
}

function batchingRows(batching: ExplainedBatching): string[][] {
  const { enabled, max_rows, reason, preferred_rows, max_queue_delay_us, golden_rows } = batching;
  const preferred = preferred_rows.length === 0 ? '' : `, preferred ${preferred_rows.join(', ')}`;
  const state = enabled
    ? `on: up to ${max_rows} rows, delay ${max_queue_delay_us} us${preferred}`
    : `off: ${reason ?? 'the server does not say why'}`;
  const rows = [['state', state], ...rowCheckRows(batching)];
  if (golden_rows > 0) rows.push(['known answers', `${golden_rows} golden rows were answered as recorded`]);
  if (batching.padding !== null) rows.push(['padding', describePadding(batching.padding)]);
  if (batching.gain !== null) rows.push(['gain', describeGain(batching.gain)]);
  return rows;
}

function rowCheckRows({ row_check: check, axis_doubt: doubt, enabled, reason }: ExplainedBatching): string[][] {
  if (check === null) return [];
  const rows: string[][] = [];
  if (check.proof !== null)
    rows.push(['row check', `passed: rows do not depend on the rows beside them (${proof(check.proof)})`]);
  // The reason that turned batching off stands above.
  else if (check.reason !== reason) rows.push(['row check', `${resultOf(check.result)}: ${check.reason}`]);
  else rows.push(['row check', resultOf(check.result)]);
  if (doubt !== null && enabled) rows.push(['axis names', `${doubt}; the row check ran more sizes and found one axis`]);
  return rows;
}

function resultOf(result: NonNullable<ExplainedBatching['row_check']>['result']): string {
  return { independent: 'passed', dependent: 'failed', not_run: 'not run' }[result];
}

function proof({ rows_compared: rows, largest_difference: difference }: ExplainedProof): string {
  return `${rows} rows compared, largest relative difference ${difference}`;
}

function describePadding({ enabled, reason, proof: shown }: NonNullable<ExplainedBatching['padding']>): string {
  if (!enabled) return `off: ${reason}`;
  return shown === null ? 'on' : `on: rows of unlike length share a batch, padding changes no answer (${proof(shown)})`;
}

function describeGain({ rows, batch_ms: batch, one_by_one_ms: apart }: NonNullable<ExplainedBatching['gain']>): string {
  return `${rows} rows take ${batch} ms in one batch and ${apart} ms one by one: ${(apart / batch).toFixed(1)} times the rate`;
}

function stepRow({ model, version }: ModelExplanation['steps'][number]): string[] {
  return [model, version === '' ? 'the version of its own traffic' : `version ${version}`];
}

function executionRows({ execution, objective }: ModelExplanation): string[][] {
  if (execution === null) return [];
  const { provider, instances, preferred, refused, not_preferred: others } = execution;
  const count = `${instances.length} instance${instances.length === 1 ? '' : 's'}`;
  const places = [...new Set(instances)];
  const rows = [['provider', `${provider}, ${count}${places.length > 1 ? ` on ${places.join(', ')}` : ''}`]];
  for (const { provider: name, reason } of refused) rows.push([name, `not used: ${reason}`]);
  if (others.length > 0)
    rows.push([others.join(', '), `not in the list of preferred providers (${preferred.join(', ')})`]);
  if (objective !== null) {
    rows.push([
      'objective',
      `${objective.ms} ms for a call without a deadline${objective.is_derived ? ', from its speed' : ''}`,
    ]);
  }
  return rows;
}

function costRows(costs: readonly ExplainedCost[]): string[][] {
  const [first] = costs;
  if (first === undefined) return [];
  const isOpen = costs.some(({ length }) => length !== null && length > 1);
  const rows = costs.map(({ rows, ms, fastest_ms, row_elements, length }) => [
    String(rows),
    String(ms),
    String(Number((ms / rows).toPrecision(3))),
    fastest_ms === null ? '-' : String(fastest_ms),
    ...(isOpen ? [String(length), String(row_elements)] : []),
  ]);
  return [['rows', 'ms', 'ms a row', 'fastest ms', ...(isOpen ? ['length', 'elements a row'] : [])], ...rows];
}

function limitRows({ batching, limits }: ModelExplanation): string[][] {
  if (limits === null) return [];
  return [
    [
      'message',
      `${bytes(limits.message_bytes)}; JSON ${bytes(limits.json_bytes)}; outputs ${bytes(limits.output_bytes)}`,
    ],
    ['rows', `${limits.rows}${describeSplit(limits, batching)}${describeElements(limits)}`],
    ['tensors', `${limits.inputs} inputs, ${limits.outputs} outputs, ${limits.axes} axes each`],
    ['names', `${limits.name_bytes} bytes; request id ${limits.id_bytes} bytes; ${limits.parameters} parameters`],
    [
      'time',
      `deadline ${limits.unset_deadline_ms} ms where a call sets none, at most ${limits.longest_deadline_ms} ms; run ${limits.longest_run_ms} ms`,
    ],
    [
      'queue',
      `${limits.queue_requests === null ? 'any number of' : limits.queue_requests} requests, ${bytes(limits.queue_bytes)}`,
    ],
  ];
}

function describeSplit({ rows }: ExplainedLimits, batching: ExplainedBatching | null): string {
  return batching !== null && rows > batching.max_rows ? ` in batches of ${batching.max_rows}` : '';
}

function describeElements({ row_elements: elements }: ExplainedLimits): string {
  return elements === null ? '' : `, of ${elements} elements each`;
}

function versionRows({ traffic }: ModelExplanation): string[][] {
  const { default_version: chosen, versions, choice, labels } = traffic;
  const states = versions.map(({ version, state }) => `${version} ${state}`);
  return [
    ['without a version', chosen === null ? choice : `version ${chosen}: ${choice}`],
    ['served', states.join(', ')],
    ...Object.entries(labels).map(([label, version]) => [`label ${label}`, `version ${version}`]),
  ];
}

function describeOrigin(origin: SettingOrigin): string {
  switch (origin.kind) {
    case 'file':
      return `${origin.file}:${origin.line}:${origin.column}`;
    case 'flag':
      return `flag ${origin.name}`;
    case 'environment':
      return `environment ${origin.name}`;
    case 'request':
      return 'the load request';
    case 'derived':
      return `derived: ${origin.from}`;
    case 'default':
      return `default: ${origin.from}`;
  }
}

const KiB = 1024;
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB'] as const;

function bytes(count: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log(Math.max(1, count)) / Math.log(KiB)));
  return `${Number((count / KiB ** power).toFixed(1))} ${UNITS[power]}`;
}
