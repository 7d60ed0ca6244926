import { diagnostics } from './diagnostics.ts';

/** The parts of a server in the order of their start. When a part fails to start, the parts before it are ended in reverse. */
export class StartedParts {
  readonly #parts: { readonly name: string; readonly end: () => unknown }[] = [];

  /** @param end ends the part, at once: nothing was served with it yet */
  async start<Part>(name: string, open: () => Part | Promise<Part>, end: (part: Part) => unknown): Promise<Part> {
    const part = await open();
    this.#parts.push({ name, end: () => end(part) });
    return part;
  }

  /** Ends every part, the last one first. Never rejects: a part that cannot be ended does not keep the others. */
  async end(): Promise<void> {
    for (let part = this.#parts.pop(); part !== undefined; part = this.#parts.pop()) {
      try {
        await part.end();
      } catch (cause) {
        diagnostics.notice.publish({ level: 'error', text: `${part.name} could not be ended`, cause });
      }
    }
  }
}
