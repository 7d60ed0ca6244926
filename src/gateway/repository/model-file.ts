/** Whether a model file is an ONNX model, as far as its first bytes say; where it is not, what it is and what to do. */

import type { Dirent } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { shellWord } from '../../shell-word.ts';
import { absent, DISK, readEntries, refusedOrAbsent, statFile } from './disk.ts';
import { foreignAmong, foreignFormat, foreignName, startsWith } from './foreign-format.ts';
import { fieldAt, MessageFile } from './message-file.ts';

const HEAD_BYTES = 512;

interface Format {
  /** The first bytes, in Latin-1. */
  readonly isMet: (head: string) => boolean;
  readonly text: string;
  /** Command that converts the file. */
  readonly command?: (file: string) => string;
}

const LFS_POINTER = startsWith('version https://git-lfs.github.com/');
const LFS_TEXT = 'is a Git LFS pointer, not the model itself: run git lfs pull where the repository was cloned';
const pull = (file: string): string => `git -C ${shellWord(path.dirname(file))} lfs pull`;
const download = (file: string): string => `curl -fL -o ${shellWord(file)} URL`;

/** Placeholders that a repository or a download leaves instead of a file. */
const PLACEHOLDERS: readonly Format[] = [
  { isMet: LFS_POINTER, text: LFS_TEXT, command: pull },
  {
    isMet: (head) => /^(ï»¿)?\s*<(!doctype html|html|head|body)/i.test(head),
    text: 'is an HTML page, such as a login or error page that was saved in place of the model: download the model again',
    command: download,
  },
];

/** Containers of a model, and texts. */
const FORMATS: readonly Format[] = [
  ...PLACEHOLDERS,
  {
    isMet: (head) => /^(ï»¿)?\s*<\?xml/.test(head),
    text: 'is an XML file, not an ONNX model: export the model to ONNX (docs/export.md)',
  },
  { isMet: startsWith('\x1f\x8b'), text: 'is compressed with gzip: unpack it' },
  { isMet: (head) => /^BZh[1-9]/.test(head), text: 'is compressed with bzip2: unpack it' },
  { isMet: startsWith('\xfd7zXZ'), text: 'is compressed with xz: unpack it' },
  { isMet: startsWith('\x28\xb5\x2f\xfd'), text: 'is compressed with zstd: unpack it' },
  { isMet: startsWith('7z\xbc\xaf'), text: 'is a 7z archive: unpack it' },
  { isMet: (head) => head.startsWith('ustar', 257), text: 'is a tar archive: unpack it' },
];

/** @returns undefined where it may be an ONNX model: whether it is a sound one, ONNX Runtime says. */
export async function modelFileProblem(file: string): Promise<string | undefined> {
  const stat = await statFile(file);
  if (stat === undefined) return `${file} ${await describeAbsence(path.dirname(file), path.basename(file))}`;
  if (stat.isDirectory()) return `${file} is a directory, expected an ONNX file`;
  if (!stat.isFile()) return `${file} is no regular file`;
  const shown = await linkedFile(file);
  if (stat.size === 0n) return `${shown} is empty: ${copyAgain(shown)}`;
  const message = await MessageFile.open(file, Number(stat.size));
  if (message === undefined) return `${shown} cannot be read: check its permissions`;
  try {
    const problem =
      formatProblem(await message.bytes(0, HEAD_BYTES), shown) ??
      sizeProblem(message) ??
      (await messageProblem(message, shown));
    if (problem !== undefined) return `${shown} ${problem}`;
  } finally {
    message.close();
  }
  // ONNX Runtime would take the text of a pointer or a page for weights, and answer with what they make.
  return findPlaceholder(path.dirname(file), WEIGHTS);
}

/** The file that a link names: people mend the file, not the link. */
async function linkedFile(file: string): Promise<string> {
  const target = await DISK.run(`looking at ${file}`, () => fs.readlink(file)).catch(absent);
  return target === undefined ? file : path.resolve(path.dirname(file), target);
}

/** The limit of a protobuf message, and so of an ONNX file. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

function sizeProblem({ size }: MessageFile): string | undefined {
  if (size <= MAX_MESSAGE_BYTES) return undefined;
  return `has ${size} bytes, and an ONNX file has less than 2 GiB, because it is one protobuf message: export the weights as external data beside it (docs/export.md#large-models)`;
}

function copyAgain(file: string): string {
  return `copy or download it again: ${download(file)}`;
}

/** Names of files that hold external weights. */
const WEIGHTS = /\.(bin|data|weights?)$|[._]data$/i;
/** External weights may have any name; a page of documentation is none. */
const ANY_WEIGHTS = /^(?!.*\.html?$)/i;

/**
 * Adds to the text of a failed load what lies beside the model file and explains it: pointers and pages in place of external
 * weights.
 */
export async function explainLoadFailure(modelPath: string, reason: string): Promise<string> {
  // Where the disk says nothing, the reason stands by itself.
  const placeholder = await findPlaceholder(path.dirname(modelPath), ANY_WEIGHTS).catch(() => undefined);
  return placeholder === undefined ? reason : `${reason}; ${placeholder}`;
}

/** The first file that is no weights, and what it is. */
async function findPlaceholder(directory: string, names: RegExp): Promise<string | undefined> {
  for (const { name } of (await readEntries(directory).catch(absent)) ?? []) {
    if (!names.test(name)) continue;
    const file = path.join(directory, name);
    const stat = await statFile(file);
    if (stat === undefined || !stat.isFile()) continue;
    const head = await DISK.run(`reading ${file}`, () => headOf(file)).catch(absent);
    const found = head === undefined ? undefined : PLACEHOLDERS.find(({ isMet }) => isMet(head));
    if (found === undefined) continue;
    const shown = await linkedFile(file);
    return `${shown} ${described(found, shown)}`;
  }
  return undefined;
}

function described({ text, command }: Format, file: string): string {
  return command === undefined ? text : `${text}: ${command(file)}`;
}

async function headOf(file: string): Promise<string> {
  const handle = await fs.open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Why there is no such file, and what to do. */
async function describeAbsence(directory: string, wanted: string): Promise<string> {
  const entries = await readEntries(directory).catch(refusedOrAbsent);
  if (entries === 'refused') return NO_PERMISSION;
  const itself = entries.find(({ name }) => name === wanted);
  if (itself?.isSymbolicLink() === true) return `is a link that leads to no file: ${LINK_HINT}`;
  if (itself !== undefined) return NO_PERMISSION;
  return `does not exist${describeOthers(entries, wanted)}`;
}

const NO_PERMISSION = 'cannot be seen: check the permissions of its directory';
const LINK_HINT = 'copy the file that it names, or mount its directory too';

function describeOthers(entries: readonly Dirent[], wanted: string): string {
  const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const other = files.find((name) => name.endsWith('.onnx'));
  if (other !== undefined) {
    return `, but '${other}' does: rename it to '${wanted}', or set default_model_filename: "${other}"`;
  }
  const foreign = foreignAmong(entries.map(({ name }) => name));
  return foreign === undefined ? '' : `; '${foreign.name}' ${foreign.what}`;
}

function formatProblem(head: Buffer, file: string): string | undefined {
  const text = head.toString('latin1');
  // ONNX Runtime's own format, which it recognizes itself.
  if (text.startsWith('ORTM', 4)) return undefined;
  const found = FORMATS.find(({ isMet }) => isMet(text));
  if (found !== undefined) return described(found, file);
  const foreign = foreignFormat(text, path.basename(file));
  if (foreign !== undefined) return foreign;
  if (!isText(head)) return undefined;
  const start = JSON.stringify(head.toString('utf8').trim().slice(0, 40));
  return `is a text file that begins with ${start}, not an ONNX model`;
}

/** Printable in UTF-8: a protobuf message of any length has other bytes among its first. */
function isText(head: Buffer): boolean {
  if (head.some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)) return false;
  // A character may be cut at the end of the head.
  return !head.toString('utf8').slice(0, -1).includes('\ufffd');
}

/** `ModelProto.graph`. */
const GRAPH_FIELD = 7;
/** Functions and metadata are fields too; after so many, ONNX Runtime says what is wrong. */
const MAX_FIELDS = 10_000;

/** Follows the fields of the outermost message without reading their contents. */
async function messageProblem(message: MessageFile, file: string): Promise<string | undefined> {
  let hasGraph = false;
  let at = 0;
  for (let fields = 0; at < message.size; fields++) {
    if (fields === MAX_FIELDS) return undefined;
    const field = await fieldAt(message, at, message.size);
    if (field === 'foreign') return otherThanOnnx(file);
    // The first field of another message may look like one that is too long.
    if (field === 'cut-off' || field.end > message.size)
      return fields === 0 ? otherThanOnnx(file) : cutOff(field, message.size, file);
    if (field.number === GRAPH_FIELD) hasGraph = true;
    at = field.end;
  }
  return hasGraph ? undefined : otherThanOnnx(file);
}

function cutOff(field: 'cut-off' | { readonly end: number }, size: number, file: string): string {
  const needed = field === 'cut-off' ? 'more' : `at least ${field.end}`;
  return `is cut off: it has ${size} bytes, and its ONNX message needs ${needed}: ${copyAgain(file)}`;
}

function otherThanOnnx(file: string): string {
  const otherwise =
    'is not an ONNX model: it has no graph of ONNX (a model of another framework, or a damaged file; docs/export.md)';
  return foreignName(path.basename(file)) ?? otherwise;
}
