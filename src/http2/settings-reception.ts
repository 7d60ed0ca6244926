import { ConnectionError, ErrorCode, frameSizeError, protocolError } from './error-code.ts';
import { Flag } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { NUISANCE, type PeerAllowances } from './peer-allowances.ts';
import type { Sender } from './sender.ts';
import type { PeerSettings } from './settings.ts';
import type { StreamTable } from './stream-table.ts';

interface SettingsOwner {
  readonly settings: PeerSettings;
  readonly streams: StreamTable;
  readonly sender: Sender;
  readonly writer: FrameWriter;
}

/** SETTINGS frames of the peer (RFC 9113, section 6.5): those that it announces, and its acknowledgements of ours. */
export class SettingsReception {
  readonly #owner: SettingsOwner;
  readonly #allowances: PeerAllowances;
  #haveCome = false;
  #areAcked = false;

  constructor(owner: SettingsOwner, allowances: PeerAllowances) {
    this.#owner = owner;
    this.#allowances = allowances;
  }

  /** The peer has announced its settings: there is a connection. */
  get haveCome(): boolean {
    return this.#haveCome;
  }

  /** @throws ConnectionError */
  take(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocolError('SETTINGS on a stream');
    if (flags & Flag.ACK) {
      if (payload.length !== 0) throw frameSizeError('an acknowledgement of SETTINGS with a payload');
      if (this.#areAcked) this.#allowances.spend(NUISANCE, 'acknowledgements of SETTINGS');
      this.#areAcked = true;
      return;
    }
    const { settings, sender, streams, writer } = this.#owner;
    const windowBefore = settings.initialWindowBytes;
    const entries = settings.apply(payload);
    const increment = settings.initialWindowBytes - windowBefore;
    // Section 6.9.2: it counts for the streams that are open, too. With many of them that is work.
    const touched = increment === 0 ? [] : streams.all();
    this.#allowances.spend(NUISANCE + (entries + touched.length) / 10, 'SETTINGS');
    for (const stream of touched) {
      if (!sender.openStream(stream, increment)) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'SETTINGS make a window too large');
      }
    }
    sender.settingsChanged();
    writer.settingsAck();
    this.#haveCome = true;
  }
}
