import { CliError } from './cli-error.ts';

/** Where a server's gRPC port is, and whether it speaks TLS. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  /** As gRPC takes it: `host:port`, an IPv6 address in brackets. */
  readonly target: string;
  readonly isSecure: boolean;
}

/** TLS by the scheme of `--url`; `undefined` where options decide. */
const SCHEMES: ReadonlyMap<string, boolean | undefined> = new Map([
  ['', undefined],
  ['http:', false],
  ['grpc:', false],
  ['https:', true],
  ['grpcs:', true],
]);

const CLEARTEXT_PORT = 8001;
const TLS_PORT = 443;
const EXPECTED = 'expected HOST:PORT, grpc://HOST:PORT or grpcs://HOST:PORT';

/**
 * Parses the value of `--url`. A scheme decides whether the connection uses TLS; without one, `hasTlsOptions` does.
 * Without a port, cleartext goes to 8001 and TLS to 443.
 * @throws CliError
 */
export function parseServerAddress(url: string, hasTlsOptions = false): ServerAddress {
  const [, scheme = '', rest = ''] = /^(?:([a-z][a-z0-9+.-]*:)\/\/)?(.*)$/is.exec(url.trim()) ?? [];
  const protocol = scheme.toLowerCase();
  if (!SCHEMES.has(protocol)) throw new CliError(`--url ${url}: ${protocol}// is not supported: ${EXPECTED}`);
  const { bracketed, name, digits } =
    /^(?:\[(?<bracketed>[0-9a-f:.]+(?:%\w+)?)\]|(?<name>[^\s:/?#@[\]]+))(?::(?<digits>\d{1,5}))?\/?$/i.exec(rest)
      ?.groups ?? {};
  const host = bracketed ?? name;
  if (host === undefined) throw new CliError(`--url ${url}: ${EXPECTED}`);
  const isSecure = SCHEMES.get(protocol) ?? hasTlsOptions;
  if (hasTlsOptions && !isSecure) {
    throw new CliError(`--url ${url} is cleartext, but a TLS option is given: use grpcs://, or leave out the option`);
  }
  const port = digits === undefined ? (isSecure ? TLS_PORT : CLEARTEXT_PORT) : Number(digits);
  if (port < 1 || port > 65_535) throw new CliError(`--url ${url}: a port is a number from 1 to 65535`);
  return { host, port, target: `${bracketed === undefined ? host : `[${host}]`}:${port}`, isSecure };
}
