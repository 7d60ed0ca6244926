/**
 * The source of a session: mostly the model's file, which ONNX Runtime reads by its path. A model whose inputs or outputs the
 * binding cannot open is rewritten in memory first.
 */

import fs from 'node:fs';
import path from 'node:path';
import { outlineOf } from '../onnx/model-outline.ts';
import type { RewrittenModel } from '../onnx/model-rewriting.ts';
import { ifSound, type MessageBytes } from '../onnx/protobuf-field.ts';
import { planRewriting, type Wishes } from '../onnx/rewriting-plan.ts';

/** Small: a window is read for each weight, whose bytes are skipped. */
const WINDOW_BYTES = 4 * 1024;
/** A protobuf message cannot be larger, and ONNX Runtime reads none that is. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;
/** The most bytes of one read. */
const READ_BYTES = 2 ** 30;

export interface ModelSource {
  /** The path of the file, or the bytes of the rewritten model. */
  readonly model: string | Uint8Array<ArrayBuffer>;
  readonly rewritten?: RewrittenModel;
}

/** @throws Error whose text says why the model cannot be served */
export async function readModelSource(modelPath: string, wishes: Wishes): Promise<ModelSource> {
  const file = SparseFile.open(modelPath);
  if (file === undefined) return { model: modelPath };
  try {
    const outline = outlineOf(file);
    const plan = outline && ifSound(() => planRewriting(file, outline, wishes));
    if (outline === undefined || plan === undefined) return { model: modelPath };
    // The code for ONNX's schema takes longer to load than most models: few need it.
    const { rewriteModel, isRange } = await import('../onnx/model-rewriting.ts');
    const rewritten = ifSound(() => rewriteModel(file, outline, plan));
    if (rewritten === undefined) return { model: modelPath };
    const { byteLength, pieces } = rewritten;
    if (byteLength > MAX_MESSAGE_BYTES) {
      throw new Error(
        `${modelPath} would have ${byteLength} bytes with the changes that serving it takes, and an ONNX file has at most 2 GiB: save its weights as external data (onnx.save_model with save_as_external_data=True)`,
      );
    }
    const model = Buffer.allocUnsafeSlow(byteLength);
    let at = 0;
    for (const piece of pieces) {
      if (isRange(piece)) {
        at += file.read(model, at, piece.at, piece.end - piece.at);
      } else {
        model.set(piece, at);
        at += piece.byteLength;
      }
    }
    if (at !== byteLength) throw new Error(`${modelPath} was cut while it was read: load it again`);
    return { model, rewritten };
  } finally {
    file.close();
  }
}

/** Where a rewritten model finds its external weights: beside its file. */
export function externalWeights(modelPath: string): Readonly<Record<string, string>> {
  return { 'session.model_external_initializers_file_folder_path': path.dirname(path.resolve(modelPath)) };
}

class SparseFile implements MessageBytes {
  readonly size: number;
  readonly #file: number;
  #window = Buffer.alloc(0);
  #from = 0;

  private constructor(file: number) {
    this.#file = file;
    this.size = fs.fstatSync(file).size;
  }

  /** `undefined` where the file cannot be opened: ONNX Runtime says why. */
  static open(modelPath: string): SparseFile | undefined {
    try {
      return new SparseFile(fs.openSync(modelPath, 'r'));
    } catch {
      return undefined;
    }
  }

  bytes(from: number, length: number): Uint8Array {
    const end = Math.min(from + length, this.size);
    if (from < this.#from || end > this.#from + this.#window.byteLength) {
      const window = Buffer.allocUnsafe(Math.min(Math.max(WINDOW_BYTES, length), this.size - from));
      this.#window = window.subarray(0, this.read(window, 0, from, window.byteLength));
      this.#from = from;
    }
    return this.#window.subarray(from - this.#from, end - this.#from);
  }

  /** @returns the bytes read: fewer where the file is shorter than it was. */
  read(target: Uint8Array, offset: number, from: number, length: number): number {
    let done = 0;
    while (done < length) {
      const got = fs.readSync(this.#file, target, offset + done, Math.min(length - done, READ_BYTES), from + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  close(): void {
    fs.closeSync(this.#file);
  }
}
