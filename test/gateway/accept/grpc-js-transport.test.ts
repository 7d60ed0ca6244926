import { listenGrpcJs } from '../../../src/gateway/accept/grpc-js-transport.ts';
import { describeTransport } from './transport-contract.ts';

describeTransport('over grpc-js', listenGrpcJs);
