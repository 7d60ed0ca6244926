import { expect, test } from 'vitest';
import { parseServerAddress } from '../../src/cli/server-address.ts';

test.each([
  ['localhost', 'localhost:8001', false],
  ['10.0.0.1:9000', '10.0.0.1:9000', false],
  ['grpc://h', 'h:8001', false],
  ['http://h:1/', 'h:1', false],
  ['https://models.example.com', 'models.example.com:443', true],
  ['GRPCS://h:8001', 'h:8001', true],
  ['[::1]', '[::1]:8001', false],
  ['grpcs://[fe80::1%eth0]:9', '[fe80::1%eth0]:9', true],
])('%s is the target %s', (url, target, isSecure) => {
  expect(parseServerAddress(url)).toMatchObject({ target, isSecure });
});

test('TLS options decide for an address without a scheme, and contradict a cleartext scheme', () => {
  expect(parseServerAddress('h:1', true)).toMatchObject({ target: 'h:1', isSecure: true });
  expect(() => parseServerAddress('http://h:1', true)).toThrow('is cleartext, but a TLS option is given');
});

test.each(['', ':8001', 'h:', 'h:x', 'h:0', 'h:65536', '::1', '[h', 'http://h/v2', 'u@h:1', 'unix:/a', 'a b:1'])(
  '%j is refused',
  (url) => {
    expect(() => parseServerAddress(url)).toThrow(/^--url /);
  },
);
