import type { Mesh, PatchOperation } from '../rig/mesh.ts';

/** The folders of `test/mesh/overlays`. */
export type Overlay = 'canary' | 'orca' | 'locality' | 'ingress';

/** A promise of `deploy/istio`, and how it is seen to be kept. */
export interface Proof {
  /** The name of its file. */
  readonly name: string;
  /** A sentence that is true where the proof holds. */
  readonly promise: string;
  readonly overlay: Overlay;
  /** Resolves with the figures that were seen. @throws AssertionError, or another Error, where the promise is broken */
  prove(mesh: Mesh): Promise<string>;
  /** What has to break it: a proof that nothing breaks proves nothing. */
  readonly mutation: Mutation;
}

/** A fault that a person could write into the YAML. */
export interface Mutation {
  readonly fault: string;
  readonly patches: readonly Patch[];
}

export interface Patch {
  readonly kind: string;
  readonly name: string;
  /** `inference`, where it is absent. */
  readonly namespace?: string;
  readonly operations: readonly PatchOperation[];
}

export function replace(path: string, value: unknown): PatchOperation {
  return { op: 'replace', path, value };
}

export function add(path: string, value: unknown): PatchOperation {
  return { op: 'add', path, value };
}

export function remove(path: string): PatchOperation {
  return { op: 'remove', path };
}

/** Fails the patch where the list is not as the mutation expects it. */
export function expecting(path: string, value: unknown): PatchOperation {
  return { op: 'test', path, value };
}
