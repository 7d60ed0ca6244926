import { describe, expect, test } from 'vitest';
import { LogSettings } from '../../../src/gateway/ops/log-settings.ts';

const AT_START = { log_file: '', log_info: true, log_warning: true, log_error: true, log_verbose_level: 0 };

function settings(logLevel: 'fatal' | 'error' | 'info' | 'debug' | 'trace' | 'silent' = 'info'): LogSettings {
  return new LogSettings({ logLevel, logFormat: 'json' });
}

describe('before anything is changed', () => {
  test('the level of the start decides, in Triton’s keys', () => {
    expect(settings().read()).toEqual({ ...AT_START, log_format: 'default' });
    expect(settings('trace').read()).toMatchObject({ log_verbose_level: 2 });
    expect(settings('debug').read()).toMatchObject({ log_verbose_level: 1 });
    expect(settings('error').read()).toMatchObject({ log_info: false, log_warning: false, log_error: true });
    for (const level of ['silent', 'fatal'] as const) {
      expect(settings(level).read()).toMatchObject({ log_info: false, log_warning: false, log_error: false });
    }
  });
});

describe('a change', () => {
  test('to a switch turns that level on or off, and no other', () => {
    const log = settings();
    log.change(new Map([['log_warning', false]]));
    expect([log.isEnabled('error'), log.isEnabled('warn'), log.isEnabled('info')]).toEqual([true, false, true]);
    log.change(new Map([['log_warning', true]]));
    expect(log.read()).toMatchObject(AT_START);
  });

  test('to the verbose level turns debugging on: 1 debug, 2 and above trace too', () => {
    const log = settings();
    const verbose = (level: number): boolean[] => {
      log.change(new Map([['log_verbose_level', level]]));
      return [log.isEnabled('debug'), log.isEnabled('trace')];
    };
    expect([1, 2, 9, 0].map(verbose)).toEqual([
      [true, false],
      [true, true],
      [true, true],
      [false, false],
    ]);
  });

  test('to the form switches to readable lines, to JSON, and back to the form of the start', () => {
    const log = settings();
    const formats = ['ISO8601', 'text', 'json', 'default'].map((name) => {
      log.change(new Map([['log_format', name]]));
      return [log.read()['log_format'], log.format];
    });
    expect(formats).toEqual([
      ['ISO8601', 'text'],
      ['text', 'text'],
      ['json', 'json'],
      ['default', 'json'],
    ]);
  });

  test.each([
    ['log_info', 'yes', 'invalid_request', "expect boolean for 'log_info'"],
    ['log_verbose_level', true, 'invalid_request', "expect int32 for 'log_verbose_level'"],
    ['log_verbose_level', -1, 'invalid_request', 'expect a whole number from 0 to 4294967295'],
    ['log_format', 'xml', 'invalid_request', 'invalid argument for log_format, got: xml; expected one of default,'],
    ['log_file', 'x.log', 'unimplemented', 'log file location can not be updated through network protocol'],
    ['zzz', true, 'invalid_request', "there is no log setting 'zzz': known are log_file, log_info,"],
  ] as const)('that sets %s to %s is refused, and no other setting changes', (key, value, reason, text) => {
    const log = settings();
    let thrown: unknown;
    try {
      log.change(
        new Map<string, boolean | number | string>([
          ['log_error', false],
          [key, value],
        ]),
      );
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ reason, message: expect.stringContaining(text) });
    expect(log.isEnabled('error')).toBe(true);
  });
});
