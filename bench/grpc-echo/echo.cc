// The peer of every identity figure: a gRPC server in C++ that answers a ModelInfer with the tensors of its request. It decodes
// and encodes the messages by Google's protobuf, as servers in C++ do, and moves the tensors. One thread, one completion queue.

#include <grpcpp/grpcpp.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "inference.grpc.pb.h"

namespace {

/** Calls that wait for a request at any time. More than the benches keep in flight. */
constexpr int ACCEPTING = 256;

/** One call: it waits for a request, then answers it, then its place is taken by the next. */
class Call {
 public:
  Call(inference::GRPCInferenceService::AsyncService* service, grpc::ServerCompletionQueue* queue)
      : service_(service), queue_(queue), responder_(&context_) {
    service_->RequestModelInfer(&context_, &request_, &responder_, queue_, queue_, this);
  }

  void proceed() {
    if (answered_) {
      delete this;
      return;
    }
    new Call(service_, queue_);
    answered_ = true;
    inference::ModelInferResponse response;
    response.set_model_name(request_.model_name());
    response.set_model_version("1");
    for (const auto& input : request_.inputs()) {
      auto* output = response.add_outputs();
      output->set_name("y");
      output->set_datatype(input.datatype());
      *output->mutable_shape() = input.shape();
    }
    response.mutable_raw_output_contents()->Swap(request_.mutable_raw_input_contents());
    responder_.Finish(response, grpc::Status::OK, this);
  }

 private:
  inference::GRPCInferenceService::AsyncService* service_;
  grpc::ServerCompletionQueue* queue_;
  grpc::ServerContext context_;
  inference::ModelInferRequest request_;
  grpc::ServerAsyncResponseWriter<inference::ModelInferResponse> responder_;
  bool answered_ = false;
};

}  // namespace

int main() {
  // It holds nothing that needs an orderly end.
  std::signal(SIGTERM, SIG_DFL);
  inference::GRPCInferenceService::AsyncService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return 1;
  for (int call = 0; call < ACCEPTING; call++) new Call(&service, queue.get());
  std::printf("port %d\n", port);
  std::fflush(stdout);
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) {
    if (ok) static_cast<Call*>(tag)->proceed();
    else delete static_cast<Call*>(tag);
  }
}
