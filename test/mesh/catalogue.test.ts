/** The proofs themselves need root and minutes: `npm run test:mesh`. Here is what can be seen of them without. */

import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PROOFS } from './proofs/catalogue.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Beside proofs: what they have in common. */
const COMMON = ['catalogue', 'gateway', 'golden', 'ingress', 'proof', 'requests', 'retries', 'tally'];

if (process.env['CI'] !== 'true') {
  console.warn('SKIPPED: the proofs of deploy/istio on a real mesh; as root, `npm run test:mesh` runs them');
}

test('every file of a proof is in the catalogue, under its name', () => {
  const files = fs.readdirSync(`${HERE}proofs`).map((file) => file.replace(/\.ts$/, ''));
  const names = PROOFS.map(({ name }) => name).filter((name) => !name.startsWith('golden-'));
  expect(names.toSorted()).toEqual(files.filter((file) => !COMMON.includes(file)).toSorted());
});

test('names are unique', () => {
  expect(new Set(PROOFS.map(({ name }) => name)).size).toBe(PROOFS.length);
});

test('every proof has a fault that has to break it, written as a patch', () => {
  for (const { name, mutation } of PROOFS) {
    expect(mutation.fault, name).not.toBe('');
    expect(mutation.patches.flatMap(({ operations }) => operations).length, name).toBeGreaterThan(0);
  }
});

test('every overlay of a proof is there, and has a recording of what istiod programs', () => {
  for (const overlay of new Set(PROOFS.map((proof) => proof.overlay))) {
    expect(fs.existsSync(`${HERE}overlays/${overlay}/kustomization.yaml`), overlay).toBe(true);
    expect(fs.existsSync(`${HERE}golden/${overlay}.yaml`), overlay).toBe(true);
  }
});
