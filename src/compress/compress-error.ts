/**
 * `technique`: its text is none. `model`: the file cannot be read, written, or rewritten. `calibration`: the rows do not fit
 * the model, or there are none. `runner`: ONNX Runtime refused the model or the rows, or its process ended.
 */
export type CompressFault = 'technique' | 'model' | 'calibration' | 'runner';

/** A model cannot be compressed; the text gives the expected and the actual value. */
export class CompressError extends Error {
  readonly fault: CompressFault;

  constructor(fault: CompressFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}
