import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects all unreferenced objects, buffers too: those are freed on another thread, for which the next collection waits. */
export function collectGarbage(): void {
  collect();
  collect();
}
