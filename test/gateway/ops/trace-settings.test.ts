import { describe, expect, test } from 'vitest';
import { TraceSettings } from '../../../src/gateway/ops/trace-settings.ts';

function changed(model: string, changes: Readonly<Record<string, readonly string[]>>): TraceSettings {
  const settings = new TraceSettings(true);
  settings.change(model, new Map(Object.entries(changes)));
  return settings;
}

/** Which of so many calls of a model are traced. */
function traced(settings: TraceSettings, calls: number, model = 'm'): number[] {
  return Array.from({ length: calls }, (_, index) => index).filter(() => settings.isTraced(model, false));
}

test('with an exporter every call is traced, without one none', () => {
  expect(traced(new TraceSettings(true), 3)).toEqual([0, 1, 2]);
  expect(traced(new TraceSettings(false), 3)).toEqual([]);
  expect(new TraceSettings(true).read('')).toEqual({
    trace_level: ['TIMESTAMPS'],
    trace_rate: ['1'],
    trace_count: ['-1'],
    log_frequency: ['0'],
    trace_file: [''],
    trace_mode: ['opentelemetry'],
  });
  expect(new TraceSettings(false).read('')).toMatchObject({ trace_level: ['OFF'] });
});

describe('a change', () => {
  test('to the level turns traces off', () => {
    expect(traced(changed('', { trace_level: ['OFF'] }), 3)).toEqual([]);
  });

  test('to the rate traces one of so many, and each whose caller traces it', () => {
    const settings = changed('', { trace_rate: ['3'] });
    expect(traced(settings, 7)).toEqual([0, 3, 6]);
    expect([settings.isTraced('m', true), settings.isTraced('m', true)]).toEqual([true, true]);
  });

  test('to the count traces so many more, and then none', () => {
    const settings = changed('', { trace_count: ['2'] });
    expect(traced(settings, 5)).toEqual([0, 1]);
    expect(settings.read('')).toMatchObject({ trace_count: ['0'] });
  });

  test('for one model holds only for that one', () => {
    const settings = changed('m', { trace_level: ['OFF'], trace_count: ['1'] });
    expect([traced(settings, 2, 'm'), traced(settings, 2, 'other')]).toEqual([[], [0, 1]]);
    expect(settings.read('m')).toMatchObject({ trace_level: ['OFF'], trace_count: ['1'] });
    expect(settings.read('other')).toMatchObject({ trace_level: ['TIMESTAMPS'], trace_count: ['-1'] });
  });

  test('to no value goes back to what holds for all, or to the beginning', () => {
    const settings = changed('', { trace_rate: ['5'] });
    settings.change('m', new Map([['trace_rate', ['7']]]));
    expect(settings.read('m')).toMatchObject({ trace_rate: ['7'] });
    settings.change('m', new Map([['trace_rate', []]]));
    expect(settings.read('m')).toMatchObject({ trace_rate: ['5'] });
    settings.change('', new Map([['trace_rate', []]]));
    expect(settings.read('m')).toMatchObject({ trace_rate: ['1'] });
  });

  test.each([
    [
      'trace_level',
      ['LOTS'],
      'invalid_request',
      "invalid value for 'trace_level', got: LOTS; expected OFF or TIMESTAMPS",
    ],
    ['trace_level', ['TENSORS'], 'unimplemented', 'contents of tensors are never traced'],
    ['trace_rate', ['x'], 'invalid_request', "Unable to parse 'trace_rate', got: x"],
    ['trace_rate', ['0'], 'invalid_request', "Unable to parse 'trace_rate'. Expecting value >= 1, got: 0"],
    ['trace_rate', ['1', '2'], 'invalid_request', "expect only 1 value for 'trace_rate'"],
    ['trace_count', ['-5'], 'invalid_request', "Unable to parse 'trace_count'. Expecting value >= -1, got: -5"],
    ['trace_file', ['t.json'], 'unimplemented', 'trace file location can not be updated through network protocol'],
    ['trace_mode', ['triton'], 'unimplemented', "'trace_mode' is opentelemetry, and no other"],
    ['log_frequency', ['3'], 'unimplemented', "'log_frequency' is of trace files"],
    ['zzz', ['1'], 'invalid_request', "there is no trace setting 'zzz': known are trace_level,"],
  ] as const)('that sets %s to %s is refused, and no other setting changes', (key, values, reason, text) => {
    const settings = new TraceSettings(true);
    let thrown: unknown;
    try {
      settings.change(
        '',
        new Map<string, readonly string[]>([
          ['trace_rate', ['9']],
          [key, values],
        ]),
      );
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ reason, message: expect.stringContaining(text) });
    expect(settings.read('')).toMatchObject({ trace_rate: ['1'] });
  });

  test('that turns traces on is refused where nothing takes them, and says what to do', () => {
    expect(() => new TraceSettings(false).change('', new Map([['trace_level', ['TIMESTAMPS']]]))).toThrow(
      'no exporter of traces is configured: start the server with OTEL_EXPORTER_OTLP_ENDPOINT',
    );
  });
});
