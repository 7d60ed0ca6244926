/** Finds the outside tools that `setup.sh` installs, or the system's own. */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

const here = path.resolve(import.meta.dirname, '../../.tools');
const folders = [process.env['TENSORGATE_TOOLS'] ?? '', here].filter((folder) => folder !== '');

/** The path of the program, or `undefined` where there is none. */
export function grpcurl(): string | undefined {
  const installed = folders.map((folder) => path.join(folder, 'grpcurl'));
  const directories = [...installed, ...(process.env['PATH'] ?? '').split(path.delimiter)];
  return directories.map((directory) => path.join(directory, 'grpcurl')).find(isExecutable);
}

/**
 * The folder of Debian's libonnx-testdata that holds `node/`, `simple/` and others, each with folders of `model.onnx`
 * and `test_data_set_0/{input,output}_N.pb`; `undefined` where it is not installed.
 */
export function onnxTestData(): string | undefined {
  const roots = [...folders.map((folder) => path.join(folder, 'onnx-test-data')), '/'];
  return roots.map((root) => path.join(root, 'usr/share/libonnx-testdata/data')).find((data) => existsSync(data));
}

/** A Python interpreter that can import `tritonclient.grpc`, or `undefined` where none can. */
export function pythonWithTritonClient(): string | undefined {
  const interpreters = [...folders.map((folder) => path.join(folder, 'python/bin/python')), 'python3'];
  return interpreters.find((python) => spawnSync(python, ['-c', 'import tritonclient.grpc']).status === 0);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
