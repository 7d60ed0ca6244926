import path from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

/** Names the files of the quick suite that took long, so that it stays quick. A busy machine makes any file slow: no failure. */
export class SlowFiles implements Reporter {
  readonly #limitMs: number;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      const { duration } = module.diagnostic();
      if (duration <= this.#limitMs) continue;
      const file = path.relative(process.cwd(), module.moduleId);
      const seconds = (duration / 1000).toFixed(0);
      console.log(
        `${file} took ${seconds} s: on a quiet machine, name it *.full.test.ts and the quick suite stays quick`,
      );
    }
  }
}
