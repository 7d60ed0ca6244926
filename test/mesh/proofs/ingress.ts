/** The way in from outside: TLS that ends at a gateway of the Gateway API, and tokens. */

import { createSign, generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { makeAuthority, makeCertificate } from '../../http2/certificates.ts';
import type { Calls, Outcome } from '../client/calls.ts';
import type { Mesh } from '../rig/mesh.ts';
import type { Pod } from '../rig/pod.ts';
import { poll } from '../rig/polling.ts';
import { WORK } from '../rig/sandbox.ts';
import { replace } from './proof.ts';

const HOST = 'tensorgate.example.com';
const ISSUER = 'https://issuer.example.com';
const AUDIENCE = 'tensorgate';
const KEY_ID = 'test';

/** Whose keys the ingress knows, and whose it does not. */
export type Signer = 'issuer' | 'impostor';

const KEYS = {
  issuer: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  impostor: generateKeyPairSync('rsa', { modulusLength: 2048 }),
} as const;

let root: string | undefined;

/** Gives the ingress a certificate and the issuer's keys, as an operator does. */
export async function furnishIngress(mesh: Mesh): Promise<void> {
  if (root === undefined) {
    const folder = path.join(WORK, 'ingress');
    fs.mkdirSync(folder, { recursive: true });
    const authority = makeAuthority(folder, 'root');
    const { certificate, privateKey } = makeCertificate(folder, 'server', authority, [`DNS:${HOST}`]);
    root = fs.readFileSync(authority.certificate, 'utf8');
    const secret = ['create', 'secret', 'tls', 'tensorgate-ingress', `--cert=${certificate}`, `--key=${privateKey}`];
    await mesh.control.kubectl(['-n', 'inference', ...secret]);
  }
  const jwk = { ...KEYS.issuer.publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' };
  // Inline, because istiod would fetch them, and there is nowhere to fetch them from.
  const rule = { issuer: ISSUER, audiences: [AUDIENCE], jwks: JSON.stringify({ keys: [jwk] }) };
  await mesh.patch('RequestAuthentication', 'tensorgate-ingress', [replace('/spec/jwtRules', [rule])]);
}

/** A token that is good for an hour. */
export function tokenOf(signer: Signer): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const seconds = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'partner', iat: seconds, exp: seconds + 3600 };
  const text = `${part({ alg: 'RS256', typ: 'JWT', kid: KEY_ID })}.${part(claims)}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(KEYS[signer].privateKey, 'base64url')}`;
}

/** Has a client from outside of the mesh make calls through the ingress. */
export async function callsThroughIngress(
  mesh: Mesh,
  calls: Partial<Calls> & Pick<Calls, 'path' | 'message'>,
  signer?: Signer,
): Promise<Outcome> {
  const pod = await poll('the ingress is ready', 60, async () => ingressOf(mesh));
  return mesh.calls('outsider', {
    ...calls,
    target: `${pod.ip}:443`,
    authority: HOST,
    ...(root !== undefined && { rootCertificate: root }),
    metadata: { ...calls.metadata, ...(signer !== undefined && { authorization: `Bearer ${tokenOf(signer)}` }) },
  });
}

function ingressOf(mesh: Mesh): Pod | undefined {
  return mesh.pods.find((pod) => pod.isReady && pod.name.startsWith('tensorgate-ingress-istio-'));
}
