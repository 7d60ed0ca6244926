import com.google.protobuf.ByteString;
import grpc.health.v1.HealthGrpc;
import grpc.health.v1.HealthOuterClass.HealthCheckRequest;
import inference.GRPCInferenceServiceGrpc;
import inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import inference.Inference.ModelInferRequest;
import inference.Inference.ModelInferRequest.InferInputTensor;
import inference.Inference.ModelInferResponse;
import inference.Inference.ModelMetadataRequest;
import inference.Inference.ModelMetadataResponse;
import inference.Inference.ModelReadyRequest;
import inference.Inference.ModelStreamInferResponse;
import inference.Inference.ServerLiveRequest;
import io.grpc.Deadline;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Another team's service, in another language: it knows proto/ and the address, nothing else. It asks the server what a client
 * asks, and prints what it was told, a line each.
 *
 * <p>usage: java -jar java-client.jar HOST:PORT, of a server with the model cifar10
 */
public final class JavaClient {
    private static final String MODEL = "cifar10";
    private static final int PIXELS = 3 * 32 * 32;
    private static final Metadata.Key<String> VERSION =
            Metadata.Key.of("tensorgate-version", Metadata.ASCII_STRING_MARSHALLER);

    public static void main(String[] args) throws Exception {
        if (args.length != 1) {
            System.err.println("usage: java -jar java-client.jar HOST:PORT");
            System.exit(2);
        }
        ManagedChannel channel =
                Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create()).build();
        try {
            ask(channel);
        } finally {
            channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
        }
    }

    private static void ask(ManagedChannel channel) throws Exception {
        GRPCInferenceServiceBlockingStub client =
                GRPCInferenceServiceGrpc.newBlockingStub(channel).withDeadline(Deadline.after(60, TimeUnit.SECONDS));

        tell("live", client.serverLive(ServerLiveRequest.getDefaultInstance()).getLive());
        tell("ready", client.modelReady(ModelReadyRequest.newBuilder().setName(MODEL).build()).getReady());
        HealthCheckRequest check = HealthCheckRequest.newBuilder().setService(MODEL).build();
        tell("health", HealthGrpc.newBlockingStub(channel).check(check).getStatus());

        ModelMetadataResponse described =
                client.modelMetadata(ModelMetadataRequest.newBuilder().setName(MODEL).build());
        tell("versions", described.getVersionsList());
        tell("input", described.getInputs(0).getDatatype() + described.getInputs(0).getShapeList());

        tell("infer", read(client.modelInfer(request("one", 1))));
        tell("infer a batch", read(client.modelInfer(request("many", 64))));
        tell("infer gzip", read(client.withCompression("gzip").modelInfer(request("gzip", 64))));

        Metadata chosen = new Metadata();
        chosen.put(VERSION, "1");
        GRPCInferenceServiceBlockingStub choosing =
                client.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(chosen));
        tell("metadata", "version " + choosing.modelInfer(request("chosen", 1)).getModelVersion());

        tell("stream", stream(channel));
        tell("cancelled stream", cancelledStream(channel));
        tell("deadline", failure(client.withDeadlineAfter(1, TimeUnit.MICROSECONDS), request("late", 64)));
        tell("unknown model", failure(client, ModelInferRequest.newBuilder().setModelName("nope").build()));
        tell("wrong shape", failure(client, shaped("wrong", List.of(1L, 3L, 32L, 31L), 3 * 32 * 31)));
        tell("after all", read(client.modelInfer(request("again", 1))));
    }

    private static void tell(String what, Object said) {
        System.out.println(what + ": " + said);
    }

    private static ModelInferRequest request(String id, int rows) {
        return shaped(id, List.of((long) rows, 3L, 32L, 32L), rows * PIXELS);
    }

    private static ModelInferRequest shaped(String id, List<Long> shape, int bytes) {
        return ModelInferRequest.newBuilder()
                .setModelName(MODEL)
                .setId(id)
                .addInputs(InferInputTensor.newBuilder()
                        .setName("image")
                        .setDatatype("UINT8")
                        .addAllShape(shape))
                .addRawInputContents(ByteString.copyFrom(new byte[bytes]))
                .build();
    }

    /** The id, and the sum of the probabilities to two decimals: a row's is 1. */
    private static String read(ModelInferResponse answer) {
        var floats = answer.getRawOutputContents(0).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        double sum = 0;
        while (floats.hasRemaining()) {
            sum += floats.getFloat();
        }
        return String.format(java.util.Locale.ROOT, "%s %.2f", answer.getId(), sum);
    }

    /** Two requests that can be answered, with one between them that cannot. */
    private static List<String> stream(ManagedChannel channel) throws Exception {
        List<String> answers = new ArrayList<>();
        CompletableFuture<List<String>> ended = new CompletableFuture<>();
        StreamObserver<ModelInferRequest> requests = GRPCInferenceServiceGrpc.newStub(channel)
                .modelStreamInfer(new StreamObserver<>() {
                    @Override
                    public void onNext(ModelStreamInferResponse answer) {
                        String error = answer.getErrorMessage();
                        answers.add(error.isEmpty() ? read(answer.getInferResponse()) : error);
                    }

                    @Override
                    public void onError(Throwable failure) {
                        ended.completeExceptionally(failure);
                    }

                    @Override
                    public void onCompleted() {
                        ended.complete(answers);
                    }
                });
        requests.onNext(request("first", 1));
        requests.onNext(ModelInferRequest.newBuilder().setModelName("nope").build());
        requests.onNext(request("last", 1));
        requests.onCompleted();
        return ended.get(30, TimeUnit.SECONDS);
    }

    /** Is given up after its first answer. */
    private static String cancelledStream(ManagedChannel channel) throws Exception {
        CompletableFuture<String> ended = new CompletableFuture<>();
        StreamObserver<ModelInferRequest> requests = GRPCInferenceServiceGrpc.newStub(channel)
                .modelStreamInfer(new ClientResponseObserver<ModelInferRequest, ModelStreamInferResponse>() {
                    private ClientCallStreamObserver<ModelInferRequest> call;

                    @Override
                    public void beforeStart(ClientCallStreamObserver<ModelInferRequest> started) {
                        call = started;
                    }

                    @Override
                    public void onNext(ModelStreamInferResponse answer) {
                        call.cancel("enough", null);
                    }

                    @Override
                    public void onError(Throwable failure) {
                        ended.complete(Status.fromThrowable(failure).getCode().toString());
                    }

                    @Override
                    public void onCompleted() {
                        ended.complete("OK");
                    }
                });
        requests.onNext(request("only", 1));
        return ended.get(30, TimeUnit.SECONDS);
    }

    /** Code and text; the text of a missed deadline is the client's own. */
    private static String failure(GRPCInferenceServiceBlockingStub client, ModelInferRequest request) {
        try {
            return "answered " + client.modelInfer(request).getId();
        } catch (StatusRuntimeException failed) {
            Status status = failed.getStatus();
            boolean isOurs = status.getCode() == Status.Code.DEADLINE_EXCEEDED;
            return isOurs ? status.getCode().toString() : status.getCode() + ", " + status.getDescription();
        }
    }

    private JavaClient() {}
}
