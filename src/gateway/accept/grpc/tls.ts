import { readFile } from 'node:fs/promises';
import { type TlsFiles, TlsIdentity, type TlsIdentityOptions } from '../../../http2/tls-identity.ts';
import { decodeText } from '../../../wire/text-encoding.ts';
import { diagnostics } from '../../ops/diagnostics.ts';

/**
 * Reads who the server is over TLS. It is logged when the files change.
 * @throws Error that names the file that is missing or wrong
 */
export function loadTls(files: TlsFiles, options: Pick<TlsIdentityOptions, 'reloadMs'> = {}): Promise<TlsIdentity> {
  return TlsIdentity.load(files, {
    ...options,
    readText: async (file) => decodeText(await readFile(file)),
    onReload: (cause) => {
      diagnostics.notice.publish(
        cause === undefined
          ? { level: 'info', text: `the certificate in ${files.certificate} is in use` }
          : { level: 'warn', text: 'the changed TLS files are not used', cause },
      );
    },
  });
}
