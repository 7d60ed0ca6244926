/** Which calls are traced, as it may be changed while the server runs: Triton's trace settings, over OpenTelemetry's spans. */

import { InferError } from '../errors.ts';

interface Scope {
  level: 'OFF' | 'TIMESTAMPS';
  /** One of so many calls is traced, apart from those whose caller traces them. */
  rate: number;
  /** How many more are traced; -1: any number. */
  count: number;
}

/** Settings of one model; unset ones follow the global settings. */
type Overrides = { -readonly [name in keyof Scope]?: Scope[name] };

const KEYS = ['trace_level', 'trace_rate', 'trace_count', 'log_frequency', 'trace_file', 'trace_mode'] as const;
const MAX_COUNT = 2 ** 31 - 1;

export class TraceSettings {
  /** Whether spans go anywhere. */
  readonly #exported: boolean;
  readonly #global: Scope;
  readonly #models = new Map<string, Overrides>();
  /** Calls that were asked about, by model; `''` those without. */
  readonly #seen = new Map<string, number>();

  /** @param exported whether an exporter is configured: without one nothing can be traced. */
  constructor(exported: boolean) {
    this.#exported = exported;
    this.#global = { level: exported ? 'TIMESTAMPS' : 'OFF', rate: 1, count: -1 };
  }

  /**
   * Whether a call is traced. To be asked once for each call.
   * @param model that it went to; `''` where it went to none.
   * @param followed its caller's trace is sampled, and goes on here whatever the rate.
   */
  isTraced(model: string, followed: boolean): boolean {
    const { level, rate } = this.#scopeOf(model);
    if (level === 'OFF') return false;
    const seen = this.#seen.get(model) ?? 0;
    this.#seen.set(model, seen + 1);
    if (!followed && seen % rate !== 0) return false;
    return this.#spend(model);
  }

  /** By Triton's keys; of all models where the name is empty. */
  read(model: string): Readonly<Record<string, readonly string[]>> {
    const { level, rate, count } = this.#scopeOf(model);
    return {
      trace_level: [level],
      trace_rate: [String(rate)],
      trace_count: [String(count)],
      log_frequency: ['0'],
      trace_file: [''],
      trace_mode: ['opentelemetry'],
    };
  }

  /**
   * All of the changes, or none. No values: back to what holds for all models, or to the beginning.
   * @throws InferError `invalid_request` or `unimplemented`
   */
  change(model: string, changes: ReadonlyMap<string, readonly string[]>): void {
    const changed: Overrides = { ...(model === '' ? this.#global : this.#models.get(model)) };
    for (const [key, values] of changes) this.#apply(changed, key, values);
    if (model === '') Object.assign(this.#global, { level: this.#startLevel, rate: 1, count: -1 }, changed);
    else this.#models.set(model, changed);
  }

  get #startLevel(): Scope['level'] {
    return this.#exported ? 'TIMESTAMPS' : 'OFF';
  }

  #scopeOf(model: string): Scope {
    return { ...this.#global, ...this.#models.get(model) };
  }

  /** Takes one of the calls that may still be traced; a model's own count comes before the global one. */
  #spend(model: string): boolean {
    const own = this.#models.get(model);
    const counted = own?.count === undefined ? this.#global : own;
    const { count = -1 } = counted;
    if (count === 0) return false;
    if (count > 0) counted.count = count - 1;
    return true;
  }

  #apply(scope: Overrides, key: string, values: readonly string[]): void {
    switch (key) {
      case 'trace_level':
        if (values.length === 0) delete scope.level;
        else scope.level = this.#levelOf(values);
        break;
      case 'trace_rate':
        if (values.length === 0) delete scope.rate;
        else scope.rate = integer(key, values, 1);
        break;
      case 'trace_count':
        if (values.length === 0) delete scope.count;
        else scope.count = integer(key, values, -1);
        break;
      case 'log_frequency':
        if (values.length > 0 && integer(key, values, 0) !== 0) {
          throw unimplemented("'log_frequency' is of trace files, and traces go to the OpenTelemetry exporter");
        }
        break;
      case 'trace_file':
        throw unimplemented('trace file location can not be updated through network protocol');
      case 'trace_mode':
        if (values.length > 0 && single(key, values) !== 'opentelemetry') {
          throw unimplemented("'trace_mode' is opentelemetry, and no other");
        }
        break;
      default:
        throw invalid(`there is no trace setting '${key}': known are ${KEYS.join(', ')}`);
    }
  }

  #levelOf(values: readonly string[]): Scope['level'] {
    for (const value of values) {
      if (value === 'TENSORS') throw unimplemented("'trace_level' TENSORS: contents of tensors are never traced");
      if (value !== 'OFF' && value !== 'TIMESTAMPS') {
        throw invalid(`invalid value for 'trace_level', got: ${value}; expected OFF or TIMESTAMPS`);
      }
    }
    if (values.every((value) => value === 'OFF')) return 'OFF';
    if (this.#exported) return 'TIMESTAMPS';
    const text = 'no exporter of traces is configured: start the server with OTEL_EXPORTER_OTLP_ENDPOINT';
    throw invalid(`Attempting to set invalid trace setting :${text}`);
  }
}

function single(key: string, values: readonly string[]): string {
  const [value] = values;
  if (value === undefined || values.length > 1) throw invalid(`expect only 1 value for '${key}'`);
  return value;
}

function integer(key: string, values: readonly string[], minimum: number): number {
  const text = single(key, values);
  if (!/^-?\d{1,15}$/.test(text)) throw invalid(`Unable to parse '${key}', got: ${text}`);
  const value = Number(text);
  if (value >= minimum && value <= MAX_COUNT) return value;
  const expected = value < minimum ? `>= ${minimum}` : `<= ${MAX_COUNT}`;
  throw invalid(`Unable to parse '${key}'. Expecting value ${expected}, got: ${text}`);
}

function invalid(text: string): InferError {
  return new InferError('invalid_request', text);
}

function unimplemented(text: string): InferError {
  return new InferError('unimplemented', text);
}
