/** Bytes that a message of a stream counts besides its own while it waits for its handler: its objects. It may have none itself. */
export const MESSAGE_BYTES = 256;
