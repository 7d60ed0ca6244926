import type { Http2Stream } from '../../../http2/stream.ts';
import type { AnswerEnd } from './answer-headers.ts';

/** A stream that carries a gRPC call. */
export type GrpcStream = Http2Stream<AnswerEnd>;
