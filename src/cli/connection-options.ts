/** The options of every command that talks to a server. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseCount } from './option-values.ts';

/** How a command reaches its server. */
export interface ConnectionOptions {
  /** Address of the gRPC port, as `server-address.ts` parses it. */
  readonly url: string;
  readonly deadlineMs: number;
  /** Files in PEM. */
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  /** Sent with each call. */
  readonly header?: Readonly<Record<string, string>>;
}

const GROUP = 'Connection to the server:';

/** @param deadlineMs of each call, where the command line sets none */
export function addConnectionOptions(command: Command, deadlineMs = 30_000): Command {
  const options = [
    new Option('--url <url>', 'gRPC address: HOST:PORT, or grpcs://HOST:PORT (or https://) for TLS')
      .env('TENSORGATE_URL')
      .default('127.0.0.1:8001'),
    new Option('--deadline-ms <ms>', 'deadline of each call').argParser(parseCount).default(deadlineMs),
    new Option('--tls-ca <file>', "PEM file with the root certificates that sign the server's; turns TLS on"),
    new Option('--tls-cert <file>', 'PEM file with the client certificate, for mTLS'),
    new Option('--tls-key <file>', 'PEM file with the private key of --tls-cert'),
    new Option(
      '--header <name:value>',
      "header to send with each call, such as 'authorization: Bearer TOKEN'; may repeat",
    ).argParser(collectHeader),
  ];
  for (const option of options) command.addOption(option.helpGroup(GROUP));
  return command;
}

/** The connection in the flags of a command, without the command's own flags. */
export function connectionOf(flags: ConnectionOptions): ConnectionOptions {
  const { url, deadlineMs, tlsCa, tlsCert, tlsKey, header } = flags;
  return {
    url,
    deadlineMs,
    ...(tlsCa !== undefined && { tlsCa }),
    ...(tlsCert !== undefined && { tlsCert }),
    ...(tlsKey !== undefined && { tlsKey }),
    ...(header !== undefined && { header }),
  };
}

/** HTTP joins the values of a repeated header by commas. */
function collectHeader(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const { name, value } = /^(?<name>[\w.-]+) *[:=] *(?<value>[ -~]*)$/.exec(text)?.groups ?? {};
  if (name === undefined || value === undefined) {
    throw new InvalidArgumentError("Expected NAME:VALUE, such as 'authorization: Bearer TOKEN'.");
  }
  const key = name.toLowerCase();
  if (key.startsWith('grpc-')) throw new InvalidArgumentError(`The headers grpc-… belong to gRPC itself.`);
  const headers = new Map(Object.entries(before));
  const earlier = headers.get(key);
  return Object.fromEntries(headers.set(key, earlier === undefined ? value : `${earlier}, ${value}`));
}
