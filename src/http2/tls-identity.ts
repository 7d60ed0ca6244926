/** Who the server is over TLS, and whom it lets in. Files that change are read again, without a restart. */

import { constants, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions, type Server, type TlsOptions } from 'node:tls';

export const ALPN_HTTP2 = 'h2';

export interface TlsFiles {
  /** PEM: the server's certificate, and those between it and its root. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly privateKey: string;
  /** PEM: roots of client certificates. With it every client must show one (mTLS). */
  readonly clientAuthorities?: string;
}

export interface TlsIdentityOptions {
  /** How often the files are looked at; once a minute unless given. */
  readonly reloadMs?: number;
  /** Files have changed, and are in use; or not, for this reason. */
  readonly onReload?: (problem?: unknown) => void;
  /** Reads a file of text; as UTF-8 unless given. */
  readonly readText?: (file: string) => Promise<string>;
}

/** Certificates that are about to expire are replaced days before; a minute is soon enough. */
const RELOAD_MS = 60_000;

/** RFC 9113, section 9.2.2: of TLS 1.2 only suites with ephemeral keys and authenticated encryption. */
const TLS12_CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

export class TlsIdentity {
  readonly #files: TlsFiles;
  readonly #options: TlsIdentityOptions;
  #context: SecureContextOptions;
  #isReading = false;

  private constructor(files: TlsFiles, context: SecureContextOptions, options: TlsIdentityOptions) {
    this.#files = files;
    this.#context = context;
    this.#options = options;
  }

  /** @throws Error that names the file which is missing, or says what is wrong with the certificate or key */
  static async load(files: TlsFiles, options: TlsIdentityOptions = {}): Promise<TlsIdentity> {
    return new TlsIdentity(files, await readContext(files, options.readText), options);
  }

  options(): TlsOptions {
    const verifiesClients = this.#files.clientAuthorities !== undefined;
    return {
      ...this.#context,
      ALPNProtocols: [ALPN_HTTP2],
      requestCert: verifiesClients,
      rejectUnauthorized: verifiesClients,
    };
  }

  /**
   * Gives `server` what the files hold, whenever that changes; connections that are open keep what they have. Files that do
   * not make an identity change nothing.
   * @returns a function that stops it
   */
  watch(server: Server): () => void {
    const timer = setInterval(() => this.#reload(server), this.#options.reloadMs ?? RELOAD_MS).unref();
    return () => clearInterval(timer);
  }

  #reload(server: Server): void {
    // One read at a time: each read of a hanging file holds a thread of libuv's pool.
    if (this.#isReading) return;
    this.#isReading = true;
    const { readText, onReload } = this.#options;
    readContext(this.#files, readText)
      .then((context) => {
        if (isSame(context, this.#context)) return;
        server.setSecureContext(context);
        this.#context = context;
        onReload?.();
      })
      .catch((problem: unknown) => onReload?.(problem))
      .finally(() => {
        this.#isReading = false;
      });
  }
}

async function readContext(
  { certificate, privateKey, clientAuthorities }: TlsFiles,
  readText: (file: string) => Promise<string> = readUtf8,
): Promise<SecureContextOptions> {
  const [cert, key, ca] = await Promise.all([
    readText(certificate),
    readText(privateKey),
    clientAuthorities === undefined ? undefined : readText(clientAuthorities),
  ]);
  requireCertificates(certificate, cert);
  if (!key.includes('PRIVATE KEY-----')) throw new Error(`${privateKey} holds no private key: expected PEM`);
  if (clientAuthorities !== undefined && ca !== undefined) requireCertificates(clientAuthorities, ca);
  const context: SecureContextOptions = {
    cert,
    key,
    ...(ca === undefined ? {} : { ca }),
    // RFC 9113, section 9.2 and 9.2.1.
    minVersion: 'TLSv1.2',
    ciphers: `TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:${TLS12_CIPHERS}`,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
  try {
    createSecureContext(context);
  } catch (cause) {
    throw new Error(`${certificate} and ${privateKey} do not make a TLS identity: ${(cause as Error).message}`, {
      cause,
    });
  }
  return context;
}

/**
 * TLS-1: a file that is empty, or half written, makes no identity. Node would serve without a certificate, or accept the clients of
 *     every public authority.
 */
function requireCertificates(file: string, pem: string): void {
  const blocks = pem.split(/(?=-----BEGIN )/).filter((text) => text.startsWith('-----BEGIN '));
  if (blocks.length === 0) throw new Error(`${file} holds no certificate: expected PEM`);
  for (const block of blocks) {
    try {
      new X509Certificate(block);
    } catch (cause) {
      throw new Error(`${file} holds a certificate that cannot be read: ${(cause as Error).message}`, { cause });
    }
  }
}

function readUtf8(file: string): Promise<string> {
  return readFile(file, 'utf8');
}

function isSame(one: SecureContextOptions, other: SecureContextOptions): boolean {
  return one.cert === other.cert && one.key === other.key && one.ca === other.ca;
}
