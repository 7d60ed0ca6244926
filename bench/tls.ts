/** What TLS costs: CPU per identity ModelInfer through a server with a certificate, beside one without. */

import path from 'node:path';
import { makeAuthority } from '../test/http2/certificates.ts';
import { H2Load } from './h2load.ts';
import { writeIdentity } from './models.ts';
import { cpuUsPerCall, startGateway } from './processes.ts';
import { heading, inTurns, ratios, spread } from './report.ts';
import { encodedRequest, floats } from './requests.ts';
import { SIZES } from './sizes.ts';

const IN_FLIGHT = 64;
const WARM_UP_S = 5;
const MEASURE_S = 3;
const GOALS: Readonly<Record<string, string>> = { '256 B': 'at most 1.3', '602 KB': 'at most 1.35' };

export async function tls(scratch: string, rounds: number): Promise<void> {
  heading(`CPU per identity ModelInfer over TLS, ${IN_FLIGHT} in flight, beside the same without TLS`);
  const repository = path.join(scratch, 'tls');
  for (const { columns } of SIZES) writeIdentity(repository, `identity-${columns}`, columns);
  const { certificate, privateKey } = makeAuthority(scratch, 'bench');
  const clear = await startGateway(repository);
  const secret = await startGateway(repository, ['--tls-certificate', certificate, '--tls-private-key', privateKey]);
  for (const { name, columns } of SIZES) {
    const data = floats(columns);
    const message = encodedRequest(`identity-${columns}`, 'x', 'FP32', { shape: [1, columns], data });
    const subjects = {
      clear: { server: clear, load: new H2Load(scratch, `clear-${columns}`, message) },
      secret: { server: secret, load: new H2Load(scratch, `secret-${columns}`, message, 'https') },
    };
    for (const { server, load } of Object.values(subjects)) {
      await load.closedLoop(server.port, IN_FLIGHT, WARM_UP_S, data.byteLength);
    }
    const figures = await inTurns(rounds, subjects, ({ server, load }) =>
      cpuUsPerCall(server, () => load.closedLoop(server.port, IN_FLIGHT, MEASURE_S, data.byteLength)),
    );
    const share = spread(ratios(figures.secret, figures.clear), 2);
    console.log(
      `${name.padStart(7)}  TLS ${spread(figures.secret, 0)} us  without ${spread(figures.clear, 0)} us  ratio ${share}  (goal: ${GOALS[name] ?? 'none'})`,
    );
  }
  await clear.stop();
  await secret.stop();
}
