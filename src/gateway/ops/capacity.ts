/**
 * The budgets of the server, fitted to what there is: memory and open files. A pure function: `machine-capacity.ts` looks.
 *
 * Each byte budget that is not given is a tenth of the memory, at most its default, and at least what the longest message needs.
 * There are at most seven at a time (requests; incoming and unread over gRPC; bodies and unread over REST; tensors twice in
 * mailboxes), which leaves three tenths for models and programs.
 *
 * Connections that are not given stop before descriptors do: what models and their runners need, twice because one that died is
 * replaced before it is gone, stays free.
 */

import { outputLimit, type Settings } from './settings.ts';

export interface Capacity {
  readonly memoryBytes: number;
  /** `Infinity` where there is no limit. */
  readonly openFiles: number;
  /** Size of the file system of the mailboxes, which counts as memory; `undefined` where it could not be looked at. */
  readonly mailboxBytes: number | undefined;
  /** Versions of models that may be loaded at a time, and instances of each. */
  readonly versions: number;
  readonly instances: number;
}

/** The settings that know nothing of a repository: a machine can be looked at without one. */
type AnySettings = Omit<Settings, 'modelRepository'>;

export interface CapacityFinding {
  readonly subject: 'memory' | 'open files';
  readonly text: string;
  /** Only where that does not fit: what to do. */
  readonly advice?: string;
}

export interface FittedSettings<Given extends AnySettings> {
  readonly settings: Given;
  readonly findings: readonly CapacityFinding[];
}

const MEMORY_SHARE = 0.1;
/** Share of the memory that all budgets together may take before a warning: models need the rest. */
const MOST_OF_MEMORY = 0.75;

/** A connection takes messages of more than 64 KiB only while an eighth of its budget is free. */
const INCOMING_PER_MESSAGE = 1.5;
/** A request with typed contents holds its message and its tensors. */
const IN_FLIGHT_PER_MESSAGE = 2;

/** Descriptors of a server without models and connections: some 30, and as many for what comes and goes. */
const BASE_FILES = 64;
/** Descriptors of a version: its runner's channel and pipes, twice. */
const FILES_OF_A_RUNNER = 6;
/** Descriptors of an instance: its run channel and its mailbox, twice. */
const FILES_OF_AN_INSTANCE = 4;
/** Largest share of the descriptors that is kept free of connections. */
const MOST_KEPT = 0.75;
/** Share of the possible connections that the HTTP port gets. */
const HTTP_SHARE = 0.25;
/** Share of connections, or of requests, that one kind or one address may take by default. */
const REQUEST_SHARE = 0.75;

type NumberKey = { [Key in keyof AnySettings]-?: AnySettings[Key] extends number ? Key : never }[keyof AnySettings];
/** A set of names, or a map by name. */
type SettingNames = Pick<ReadonlySet<string>, 'has'>;
type Numbers = Record<NumberKey, number> & Pick<Settings, 'rest' | 'adminPort' | 'maxOutputBytes'>;

/** @param given the settings that were given, which are left as they are. */
export function fitSettings<Given extends AnySettings>(
  settings: Given,
  given: SettingNames,
  capacity: Capacity,
): FittedSettings<Given> {
  const numbers: Numbers & Given = { ...settings };
  const lower: Lower = (key, most) => {
    if (!given.has(key)) (numbers as Numbers)[key] = Math.max(1, Math.floor(Math.min(settings[key], most)));
  };
  fitBytes(lower, numbers, capacity);
  fitConnections(lower, numbers, capacity, given);
  return {
    settings: Object.freeze(numbers),
    findings: [judgeMemory(numbers, capacity), judgeFiles(numbers, capacity)],
  };
}

/** Lowers a setting that was not given to `most`. */
type Lower = (key: NumberKey, most: number) => void;

function fitBytes(lower: Lower, numbers: Numbers, { memoryBytes }: Capacity): void {
  const share = memoryBytes * MEMORY_SHARE;
  const message = numbers.maxMessageBytes;
  const answer = outputLimit(numbers);
  lower('maxInFlightBytes', Math.max(share, IN_FLIGHT_PER_MESSAGE * message));
  lower('http2MaxIncomingBytesInAll', Math.max(share, INCOMING_PER_MESSAGE * message));
  lower('http2MaxIncomingBytes', Math.max(numbers.http2MaxIncomingBytesInAll / 2, INCOMING_PER_MESSAGE * message));
  lower('http2MaxUnreadBytesInAll', Math.max(share, answer));
  lower('http2MaxUnreadBytes', Math.max(numbers.http2MaxUnreadBytesInAll / 2, answer));
  lower('httpMaxUnreadBytesInAll', Math.max(share, answer));
  lower('httpMaxUnreadBytes', Math.max(numbers.httpMaxUnreadBytesInAll / 2, answer));
}

function fitConnections(lower: Lower, numbers: Numbers, capacity: Capacity, given: SettingNames): void {
  // However many models there are, some are for connections: a server that cannot be reached needs no models.
  const most = capacity.openFiles - Math.min(keptFiles(capacity), capacity.openFiles * MOST_KEPT);
  // There must be more connections than requests.
  const requests = given.has('httpMaxRequests') ? numbers.httpMaxRequests : 0;
  lower('httpMaxConnections', Math.max(4, most * HTTP_SHARE, requests + 1));
  lower('httpMaxRequests', Math.max(1, numbers.httpMaxConnections * REQUEST_SHARE));
  lower('httpMaxRequestsPerAddress', Math.max(1, numbers.httpMaxRequests * REQUEST_SHARE));
  lower('http2MaxConnections', Math.max(4, (most - numbers.httpMaxConnections) / grpcPorts(numbers)));
  lower('http2MaxConnectionsPerAddress', Math.max(2, numbers.http2MaxConnections / 2));
}

/** Descriptors that are not for connections. */
function keptFiles({ versions, instances }: Capacity): number {
  return BASE_FILES + versions * (FILES_OF_A_RUNNER + instances * FILES_OF_AN_INSTANCE);
}

function grpcPorts({ adminPort }: Pick<Settings, 'adminPort'>): number {
  return adminPort === undefined ? 1 : 2;
}

function judgeMemory(
  settings: Numbers,
  { memoryBytes, mailboxBytes = Number.POSITIVE_INFINITY }: Capacity,
): CapacityFinding {
  const { rest, maxInFlightBytes } = settings;
  const ofRest = [
    ['bodies over REST (maxInFlightBytes again)', maxInFlightBytes],
    ['httpMaxUnreadBytesInAll', settings.httpMaxUnreadBytesInAll],
  ] as const;
  const parts = [
    ['maxInFlightBytes', maxInFlightBytes],
    ['http2MaxIncomingBytesInAll', settings.http2MaxIncomingBytesInAll],
    ['http2MaxUnreadBytesInAll', settings.http2MaxUnreadBytesInAll],
    ...(rest === 'on' ? ofRest : []),
    ['tensors in mailboxDirectory', Math.min(2 * maxInFlightBytes, mailboxBytes)],
  ] as const;
  const sum = parts.reduce((total, [, bytes]) => total + bytes, 0);
  const listed = parts.map(([name, bytes]) => `${name} ${mebibytes(bytes)}`).join(', ');
  const text = `${mebibytes(memoryBytes)}, messages may take ${mebibytes(sum)}: ${listed}`;
  if (sum <= memoryBytes * MOST_OF_MEMORY) return { subject: 'memory', text };
  const advice = 'give more memory, or lower these or maxMessageBytes: models are left less than a quarter';
  return { subject: 'memory', text, advice };
}

function judgeFiles(settings: Numbers, capacity: Capacity): CapacityFinding {
  const { openFiles, versions } = capacity;
  const { http2MaxConnections, httpMaxConnections } = settings;
  const kept = keptFiles(capacity);
  const ports = grpcPorts(settings);
  const each = ports === 1 ? '' : ` on each of ${ports} ports`;
  const limit = openFiles === Number.POSITIVE_INFINITY ? 'no limit' : `at most ${openFiles}`;
  const text = `${limit}, connections may take ${http2MaxConnections}${each} (http2MaxConnections) and ${httpMaxConnections} (httpMaxConnections); ${kept} are kept for the server and ${versions} model versions`;
  if (http2MaxConnections * ports + httpMaxConnections + kept <= openFiles) return { subject: 'open files', text };
  return { subject: 'open files', text, advice: 'raise the limit (ulimit -n 65536), or lower these' };
}

/** Such as `64 MiB`. */
export function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
