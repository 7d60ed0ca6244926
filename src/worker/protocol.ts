/**
 * THE CONTRACT between the gateway and a runner: the messages that cross the process boundary, and their channels.
 *
 *   load, unload   the runner's main thread: JSON messages over Node's IPC channel (`ToRunner`, `FromRunner`)
 *   runs           the instance's own thread: frames over its run channel (`run-frame.ts`), so that a batch wakes no other thread
 *   calls          the code of a model calls other models over a call channel (`call-frame.ts`)
 *   tensors        the instance's mailbox (`mailbox.ts`), and landing files for large inputs (`landed-inputs.ts`): a run and its
 *                  outcome (`run-outcome.ts`) only say where they lie
 *
 * The thread opens its run channel during the load, at the address that the load names, with the key as its first bytes. The
 * gateway answers with a welcome, then asks for one run at a time. It ends the channel when the instance is to be unloaded.
 */

import type { Datatype, Shape, TensorSpec } from '../wire/tensor.ts';
import type { OpenFile } from '../wire/tensor-bytes.ts';
import type { StepOptions } from './step-spec.ts';

/** Where one tensor of a batch lies in the mailbox of its instance. */
export interface TensorPlace {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  /** Byte offset from the start of the mailbox, or among the inputs of a run with pieces; a multiple of `TENSOR_ALIGNMENT`. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Every tensor starts at a multiple of this, so that a typed array of any datatype can be laid over it. */
export const TENSOR_ALIGNMENT = 64;

/** The next multiple of `TENSOR_ALIGNMENT` at or above `offset`. */
export function aligned(offset: number): number {
  return Math.ceil(offset / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
}

export const EXECUTION_PROVIDERS = ['tensorrt', 'cuda', 'cpu'] as const;
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

/** Session options that reach ONNX Runtime from Node (others are dropped by its binding without a word, so they are not offered). */
export interface SessionOptions {
  readonly intraOpNumThreads: number;
  readonly interOpNumThreads: number;
  readonly executionMode: 'sequential' | 'parallel';
  readonly graphOptimizationLevel: 'disabled' | 'basic' | 'extended' | 'layout' | 'all';
  readonly enableCpuMemArena: boolean;
  readonly enableMemPattern: boolean;
  /** ONNX Runtime's config entries, such as `session.intra_op.allow_spinning`. */
  readonly extra: Readonly<Record<string, string>>;
  /** Where the graph is written as it runs: optimized, and fused for this processor. */
  readonly optimizedModelFilePath?: string;
}

/** An ONNX model or a step, which an instance opens. */
export type SessionSpec = ModelSpec | StepSpec;

interface SpecFields {
  /**
   * An ONNX file is loaded by path wherever it can be (`model-source.ts`). External weights beside it are mapped in any case, and
   * shared between instances. Of a step without a file, only the folder of this path counts.
   */
  readonly modelPath: string;
  /** In order of preference; the first that accepts is used. */
  readonly providers: readonly ExecutionProvider[];
  /** The GPU that this instance is pinned to; ignored by the CPU provider. */
  readonly deviceId: number;
  /** The only outputs to compute and report; all of them where absent. */
  readonly outputs?: readonly string[];
}

export interface ModelSpec extends SpecFields {
  readonly step?: undefined;
  /** Fail rather than fall back to a later provider. */
  readonly strictProviders: boolean;
  readonly options: SessionOptions;
  /** Inputs that the configuration names. */
  readonly inputs?: readonly string[];
}

export interface StepSpec extends SpecFields {
  readonly step: StepOptions;
}

/** Description of a session by ONNX Runtime, before any configuration. */
export interface SessionInfo {
  readonly inputs: readonly SessionTensor[];
  readonly outputs: readonly SessionTensor[];
  readonly provider: ExecutionProvider;
  /** The providers that were preferred and did not load, with ONNX Runtime's reason. */
  readonly refusals: readonly ProviderRefusal[];
  /** How the served model differs from its file: sentences about its inputs and outputs. */
  readonly notes?: readonly string[];
  /** Why requests never share a run, where that is known without a look at the axes. */
  readonly unbatched?: string;
  /** Rows of outputs have lengths of their own, which each outcome reports (`PlacedAnswer.rowLengths`). */
  readonly hasRowLengths?: true;
  /** Runs compute in threads that are not reported, because a library starts them when it needs them. */
  readonly hasOwnThreads?: true;
}

/** An input or output as the ONNX file describes it: an open axis has its symbolic name, or `''`. */
export interface SessionTensor extends TensorSpec {
  readonly axes: readonly (number | string)[];
  /** The value of an input that callers may leave out. */
  readonly initializer?: SessionInitializer;
  /** Rule for the elements of a BYTES input; absent: texts of any length. */
  readonly elements?: ElementRule;
}

export interface ElementRule {
  /** Most bytes of an element. */
  readonly maxBytes: number;
  /** The setting of `maxBytes`, for refusals. */
  readonly setting: string;
  /** Elements are any bytes, such as images; otherwise UTF-8 without NUL. */
  readonly isBinary: boolean;
}

interface SessionInitializer {
  readonly shape: Shape;
  /** In raw form, as base64: it passes a JSON channel once. */
  readonly data: string;
}

export interface ProviderRefusal {
  readonly provider: ExecutionProvider;
  readonly reason: string;
}

/** One batch: inputs lie in the mailbox, or partly in landing files; outputs are to be written from `outputOffset` on. */
export interface Run {
  readonly inputs: readonly TensorPlace[];
  /** Where the bytes of the inputs come from, in their order; absent where all lie in the mailbox, at their own offsets. */
  readonly pieces?: readonly InputPiece[];
  readonly outputOffset: number;
  /** Outputs that have more bytes in all are not written. */
  readonly maxOutputBytes: number;
}

/** Bytes of the inputs of a batch that lie one behind the other in one file. */
export interface InputPiece {
  /** `undefined`: the mailbox. */
  readonly file: OpenFile | undefined;
  /** Byte offset in that file. */
  readonly from: number;
  /** Byte offset among the inputs, as their places count. */
  readonly at: number;
  readonly byteLength: number;
}

/** For sessions without a limit of their outputs. */
export const ANY_OUTPUT_BYTES = Number.MAX_SAFE_INTEGER;

/** Where the gateway waits for an instance's thread to open its run channel. */
export interface ChannelAddress {
  /** Path of a Unix socket; on Linux without a file, in the abstract namespace. */
  readonly path: string;
  /** `CHANNEL_KEY_BYTES` in hexadecimal digits: a peer that connects without the key is not the thread. */
  readonly key: string;
}

export const CHANNEL_KEY_BYTES = 32;

export interface InstanceSpec {
  readonly mailboxPath: string;
  readonly channel: ChannelAddress;
  readonly session: SessionSpec;
  /** Where the thread of a code model opens its call channel (`call-channel.ts`). */
  readonly calls?: ChannelAddress | undefined;
}

export type ToRunner =
  | { readonly kind: 'load'; readonly instance: number; readonly spec: InstanceSpec }
  /** After the gateway has ended the instance's run channel. */
  | { readonly kind: 'unload'; readonly instance: number };

/** The reply of an instance's thread once its session is open. */
export interface LoadedInstance {
  readonly info: SessionInfo;
  /** The threads that run it, by their ids in the system; none where the system does not say. */
  readonly threads: readonly number[];
}

export type FromRunner =
  | ({ readonly kind: 'loaded'; readonly instance: number } & LoadedInstance)
  | { readonly kind: 'load-failed'; readonly instance: number; readonly message: string }
  | { readonly kind: 'unloaded'; readonly instance: number };
