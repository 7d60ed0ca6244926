import { InferError } from '../errors.ts';
import type { Method } from './call.ts';

/** The longest request message of one RPC, and what a caller reads whose message is longer. */
export class MessageLimit {
  /** Also the limit of what a compressed message may grow to. */
  readonly bytes: number;
  readonly #path: string;
  /** Setting that lifts the limit, for the text of an error. */
  readonly #source: string;

  constructor(path: string, method: Method, serverBytes: number) {
    const { maxMessageBytes = Number.POSITIVE_INFINITY, messageLimitSetting: setting } = method;
    this.bytes = Math.min(maxMessageBytes, serverBytes);
    this.#path = path;
    const ofRpc = setting === undefined ? 'this RPC' : `this RPC ${setting},`;
    this.#source = maxMessageBytes < serverBytes ? ofRpc : 'the server (maxMessageBytes)';
  }

  exceeded(byteLength: number): InferError {
    return this.#error(`has ${byteLength} bytes`);
  }

  /** The error of a compressed message that is longer than the limit when it is inflated. */
  exceededInflated(): InferError {
    return this.#error('is longer when inflated');
  }

  #error(finding: string): InferError {
    const text = `the request message of ${this.#path} ${finding}; the limit of ${this.#source} is ${this.bytes} bytes`;
    return new InferError('limit_exceeded', text);
  }
}
