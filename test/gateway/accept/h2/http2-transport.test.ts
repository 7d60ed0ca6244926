import { listenHttp2 } from '../../../../src/gateway/accept/h2/http2-transport.ts';
import { describeTransport } from '../transport-contract.ts';

describeTransport('over sockets of our own', listenHttp2);
