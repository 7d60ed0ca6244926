/** The rules on who may load and unload models while the server runs. */

import type { LoadOverride } from '../../accept/control-service.ts';
import { InferError } from '../../errors.ts';
import { isModelName } from '../../repository/model-repository.ts';
import { ending } from './load-refusals.ts';

/** `none`: the models at start. `poll`: also changes on disk. `explicit`: the models that are named or that clients load. */
export type ControlMode = 'none' | 'poll' | 'explicit';

export class LoadControl {
  /** Whether files of models are taken from clients that may load. */
  readonly #allowsUpload: boolean;
  readonly #mode: ControlMode;
  #hasEnded = false;

  constructor(mode: ControlMode, allowsUpload: boolean) {
    this.#mode = mode;
    this.#allowsUpload = allowsUpload;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** From now on nothing is loaded or unloaded. */
  end(): void {
    this.#hasEnded = true;
  }

  /** Whether clients may load and unload now. */
  get isOpen(): boolean {
    return !this.#hasEnded && this.#isAllowed;
  }

  /** Whether files of models are taken from clients. */
  get takesFiles(): boolean {
    return this.#isAllowed && this.#allowsUpload;
  }

  /** Why clients may not load and unload now, if so. */
  get refusal(): InferError | undefined {
    if (this.#hasEnded) return ending();
    if (this.#isAllowed) return undefined;
    const text = `explicit model load / unload is not allowed if polling is enabled: start the server with --model-control-mode explicit, not ${this.#mode}`;
    return new InferError('control_disabled', text);
  }

  /** @throws InferError `control_disabled`, `draining` */
  check(): void {
    const { refusal } = this;
    if (refusal !== undefined) throw refusal;
  }

  /** @throws InferError `control_disabled`, `invalid_request` for what a client sends with a load */
  checkOverride(name: string, { config, files }: LoadOverride): void {
    if (files.size > 0 && !this.#allowsUpload) {
      const text = `files of a model ('file:…') are not taken from clients: put them into the model repository, or start the server with --allow-model-upload`;
      throw new InferError('control_disabled', text);
    }
    if (files.size > 0 && config === undefined) {
      throw new InferError('invalid_request', `load parameter 'config' is missing: it has to come with 'file:…'`);
    }
    if (files.size > 0 && !isModelName(name)) {
      throw new InferError('invalid_request', `'${name.slice(0, 128)}' is no model name`);
    }
  }

  /**
   * Checks a load from disk that no RepositoryModelLoad asked for.
   * @param isFromDisk whether no version of the model was sent by a client
   * @throws InferError `control_disabled`, `draining`
   */
  checkLoading(isFromDisk: boolean, name: string): void {
    if (this.#hasEnded) throw ending();
    if (this.#mode === 'none') {
      const text = `nothing is loaded while the server runs: restart it, or start it with --model-control-mode explicit or poll`;
      throw new InferError('control_disabled', text);
    }
    if (isFromDisk) return;
    const text = `'${name}' serves versions that a client sent, and a load from disk would replace them`;
    throw new InferError('control_disabled', text);
  }

  get #isAllowed(): boolean {
    return this.#mode === 'explicit';
  }
}
