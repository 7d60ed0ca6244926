/** Certificates for tests, made by openssl. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export interface Certificate {
  /** PEM files. */
  readonly certificate: string;
  readonly privateKey: string;
}

export function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}

/** A root of its own. */
export function makeAuthority(directory: string, name: string): Certificate {
  const files = filesOf(directory, name);
  openssl(
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${name}`, '-keyout', files.privateKey, '-out', files.certificate],
  );
  return files;
}

/**
 * A certificate for `localhost` and the further `names`, such as `URI:spiffe://a/b`.
 * @param days until it expires; negative: it has
 */
export function makeCertificate(
  directory: string,
  name: string,
  authority: Certificate,
  names: readonly string[] = [],
  days = 2,
): Certificate {
  const files = filesOf(directory, name);
  const request = path.join(directory, `${name}.csr`);
  const extensions = path.join(directory, `${name}.ext`);
  fs.writeFileSync(extensions, `subjectAltName=${['DNS:localhost', 'IP:127.0.0.1', ...names].join(',')}\n`);
  openssl(
    ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`],
    ...['-keyout', files.privateKey, '-out', request],
  );
  openssl(
    ...['x509', '-req', '-in', request, '-CA', authority.certificate, '-CAkey', authority.privateKey],
    ...['-CAcreateserial', '-days', String(days), '-extfile', extensions, '-out', files.certificate],
  );
  return files;
}

function filesOf(directory: string, name: string): Certificate {
  return { certificate: path.join(directory, `${name}.crt`), privateKey: path.join(directory, `${name}.key`) };
}
