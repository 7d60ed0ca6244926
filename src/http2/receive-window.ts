/**
 * The receiving half of flow control, of a stream or of a connection (RFC 9113, section 5.2 and 6.9).
 * Here the window only grows; the WINDOW_UPDATE that `reopen` requests announces it to the peer.
 */
export class ReceiveWindow {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get isOpen(): boolean {
    return this.#left > 0;
  }

  /**
   * Counts the whole payload of a DATA frame, padding and pad length too (section 6.9.1).
   * @returns false: it is more than the peer may send
   */
  receive(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /**
   * @param wanted how much the peer shall be able to send
   * @returns the increment to announce; 0 while at least half of it is open anyway
   */
  reopen(wanted: number): number {
    const increment = wanted - this.#left;
    if (increment <= 0 || increment * 2 < wanted) return 0;
    this.#left = wanted;
    return increment;
  }
}
