/** Threads that run the sources of a clone. The package has none: its files are built. */

import v8 from 'node:v8';

/**
 * Node strips the types of sources by WebAssembly, in each thread by itself. After 1,000 calls V8 optimizes the wrapper of an import,
 * which all threads share. Where threads come and go it may free such code twice, which ends the process (nodejs/node#64500): once in
 * some 5,000 starts of a thread here. So the wrappers stay as they are. To be called before a thread is started.
 * @param module the URL of the module that starts it
 */
export function keepWrappers(module: string): void {
  if (module.endsWith('.ts')) v8.setFlagsFromString('--wasm-wrapper-tiering-budget=2147483647');
}
