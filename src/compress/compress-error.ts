/**
 * `technique`: its text is none. `model`: the file cannot be read, written, or rewritten. `calibration`: the rows do not fit
 * the model, or there are none. `runner`: ONNX Runtime refused the model or the rows, or its process ended.
 */
export type CompressFault = 'technique' | 'model' | 'calibration' | 'runner';

/** Why a model cannot be compressed, in words that say what was expected and what came. */
export class CompressError extends Error {
  readonly fault: CompressFault;

  constructor(fault: CompressFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}
