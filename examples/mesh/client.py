"""A caller of a gateway behind a mesh or a load balancer, as docs/mesh.md advises, with plain grpcio: asks what a photograph
shows, and prints the answer as JSON.

    python examples/mesh/client.py localhost:8001 [--mesh] [--canary] [--deadline-ms 2000]

The stubs are tritonclient's (pip install 'tritonclient[grpc]'); those that you generate from proto/inference.proto do as well.
"""

import argparse
import json
import pathlib
import sys
import time

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

HERE = pathlib.Path(__file__).parent

parser = argparse.ArgumentParser()
parser.add_argument("target", nargs="?", default="localhost:8001")
parser.add_argument("--mesh", action="store_true", help="the sidecar tries again, so this client does not: one layer alone")
parser.add_argument("--canary", action="store_true", help="asks for the canary, whatever its share")
parser.add_argument("--deadline-ms", type=float, default=2000)
arguments = parser.parse_args()

# One for the whole process: a connection carries any number of calls, and a new one each time would cost a handshake.
channel = grpc.insecure_channel(
    arguments.target,
    options=[
        ("grpc.service_config", (HERE / "service-config.json").read_text()),
        ("grpc.enable_retries", 0 if arguments.mesh else 1),
        # A peer that vanished without a word is noticed within 40 s, and only while calls wait for it.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # gRPC's default for answers is 4 MiB; requests have no limit here, and 64 MiB in the gateway.
        ("grpc.max_receive_message_length", 64 << 20),
    ],
)
stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)


def request(pixels):
    message = service_pb2.ModelInferRequest(model_name="cifar10", raw_input_contents=[pixels])
    message.inputs.add(name="image", datatype="UINT8", shape=[1, 3, 32, 32])
    output = message.outputs.add(name="probabilities")
    output.parameters["classification"].int64_param = 3
    return message


def classify(message, end):
    """gRPC tries UNAVAILABLE again by itself. RESOURCE_EXHAUSTED it does not: the server says how long to wait, or that waiting
    is in vain, and the caller knows whether the answer is still wanted by then."""
    metadata = [("x-canary", "always")] if arguments.canary else []
    while True:
        try:
            # What is left of it travels with the call; the server never runs what would come too late.
            return stub.ModelInfer(message, timeout=end - time.monotonic(), metadata=metadata)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            wait = int(dict(error.trailing_metadata()).get("grpc-retry-pushback-ms", -1)) / 1000
            if wait < 0 or time.monotonic() + wait >= end:
                raise
            time.sleep(wait)


def texts(raw):
    """BYTES: each element is its length, four bytes, the lowest first, and then its bytes."""
    at = 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        yield raw[at + 4 : at + 4 + length].decode()
        at += 4 + length


try:
    answer = classify(
        request((HERE / "ship-0160.rgb").read_bytes()), time.monotonic() + arguments.deadline_ms / 1000
    )
    print(json.dumps({"version": answer.model_version, "top": list(texts(answer.raw_output_contents[0]))}))
except grpc.RpcError as failure:
    print(f"{failure.code().name}: {failure.details()}", file=sys.stderr)
    sys.exit(1)
finally:
    channel.close()
