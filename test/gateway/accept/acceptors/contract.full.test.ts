/** The contract of a transport for several acceptors. One acceptor is the owner's own thread: `grpc/http2-transport.test.ts`. */

import { acceptorsListener } from '../../../../src/gateway/accept/acceptors/acceptors.ts';
import { describeTransport } from '../transport-contract.ts';

describeTransport('of two acceptors', acceptorsListener({ count: 2 }));
describeTransport('of four acceptors', acceptorsListener({ count: 4 }));
