import type { FieldKinds } from './header-field.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHeaders } from './response-headers.ts';
import type { Http2Stream } from './stream.ts';

/** How heads of requests are made. */
export interface HeadMaker {
  /** Kinds of fields by name; see `fieldKinds`. */
  readonly fieldKinds: FieldKinds;
  /** @param maxListBytes of the fields, as RFC 9113, section 6.5.2 counts them */
  requestHead(maxListBytes: number): RequestHead;
}

/** A protocol over HTTP/2, such as gRPC: the meaning of each request, and its answer. Its functions throw nothing. */
export interface Protocol extends HeadMaker {
  responseHeaders(): ResponseHeaders;
  /** A request has begun: gives the stream its exchange. */
  open(stream: Http2Stream, head: RequestHead): void;
  /** The same, on a connection that resets more requests than it may: it is refused at once. */
  refuse(stream: Http2Stream): void;
}
