import { listenHttp2 } from '../../../../src/gateway/accept/grpc/http2-transport.ts';
import { describeTransport } from '../transport-contract.ts';

describeTransport('over sockets of our own', listenHttp2);
