/** The yardstick of a call's cost: a grpc-js server that sends each message back, with nothing else in it. */

import grpc from '@grpc/grpc-js';

const asIs = (bytes: Buffer): Buffer => bytes;
const server = new grpc.Server({
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_channelz': 0,
});
server.register(
  '/inference.GRPCInferenceService/ModelInfer',
  (call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) => answer(null, call.request),
  asIs,
  asIs,
  'unary',
);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`port ${port}`);
});
process.on('SIGTERM', () => process.exit(0));
